// Shows the examples of the chosen metric. An article that belongs to two lists at once is shown in both.
{
  const by = document.getElementById('by');
  const pool = document.getElementById('pool');
  const articles = [...document.querySelectorAll('article.pair')];
  const show = () => {
    pool.append(...articles);
    const used = new Set();
    for (const list of document.querySelectorAll('[data-list]')) {
      const found = [];
      for (const article of articles)
        for (const place of article.dataset.places.split(' ')) {
          const [name, metric, rank] = place.split(':');
          if (name === list.dataset.list && metric === by.value) found.push({ article, rank: Number(rank) });
        }
      found.sort((a, b) => a.rank - b.rank);
      list.replaceChildren(...found.map(({ article }) => {
        const shown = used.has(article) ? article.cloneNode(true) : article;
        used.add(article);
        return shown;
      }));
      if (found.length === 0) list.textContent = 'None.';
    }
    for (const chip of document.querySelectorAll('.chips span')) chip.classList.toggle('by', chip.dataset.metric === by.value);
  };
  by.addEventListener('change', show);
  show();
}
