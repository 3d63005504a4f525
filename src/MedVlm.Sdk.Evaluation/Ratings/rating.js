// The sheet: shows one caption after another, keeps the answers in this browser, saves them to a file and loads them again.
{
  const $ = id => document.getElementById(id);
  const sheet = JSON.parse($('sheet').textContent);
  const storageKey = `${sheet.answers_format}:${sheet.sheet}`;
  const answers = new Map();   // item's id to { scores: Map, cannot, shown, comment }
  let position = 0, unsaved = false, kept = false;

  const scales = [...document.querySelectorAll('.scale')];
  const answerOf = id => {
    if (!answers.has(id)) answers.set(id, { scores: new Map(), cannot: false, shown: false, comment: '' });
    return answers.get(id);
  };
  const isDone = item => {
    const answer = answers.get(item.id);
    return answer !== undefined && (answer.cannot || sheet.scales.every(scale => answer.scores.has(scale)));
  };
  const say = text => {
    $('notice').textContent = text;
    $('notice').hidden = text === '';
  };

  // Files. What is saved is what is kept in the browser, too.
  const toFile = () => ({
    format: sheet.answers_format, sheet: sheet.sheet, rater: $('rater').value.trim(), saved: new Date().toISOString(), scales: sheet.scales, of: sheet.items.length,
    items: sheet.items.filter(item => answers.has(item.id)).map(item => {
      const answer = answers.get(item.id);
      return {
        id: item.id, stratum: item.stratum, scores: Object.fromEntries(answer.scores), cannot_judge: answer.cannot,
        reference_shown: answer.shown, comment: answer.comment,
      };
    }).filter(item => item.cannot_judge || item.reference_shown || item.comment !== '' || Object.keys(item.scores).length > 0),
  });
  const fromFile = file => {
    if (file?.format !== sheet.answers_format || !Array.isArray(file.items)) throw new Error('This is no file of answers.');
    if (file.sheet !== sheet.sheet) throw new Error(`These are answers to another sheet (${file.sheet}); this one is ${sheet.sheet}.`);
    const known = new Set(sheet.items.map(item => item.id));
    answers.clear();
    for (const item of file.items) {
      if (!known.has(item.id)) continue;
      const answer = answerOf(item.id);
      for (const scale of sheet.scales) {
        const grade = Object.hasOwn(item.scores ?? {}, scale) ? item.scores[scale] : null;
        if (Number.isInteger(grade) && grade >= 1 && grade <= 5) answer.scores.set(scale, grade);
      }
      answer.cannot = item.cannot_judge === true;
      answer.shown = item.reference_shown === true;
      answer.comment = typeof item.comment === 'string' ? item.comment : '';
    }
    $('rater').value = typeof file.rater === 'string' ? file.rater : '';
  };
  const keep = () => {
    try {
      localStorage.setItem(storageKey, JSON.stringify(toFile()));
      kept = true;
    } catch {
      kept = false;
    }
  };
  const changed = () => {
    unsaved = true;
    keep();
    showProgress();
  };
  const save = () => {
    if ($('rater').value.trim() === '') {
      say('Write your name or initials first, so that your answers can be told from others.');
      $('rater').focus();
      return;
    }
    const url = URL.createObjectURL(new Blob([JSON.stringify(toFile(), null, 1)], { type: 'application/json' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = `ratings-${sheet.sheet}-${$('rater').value.trim().replace(/[^\p{L}\p{N}_-]+/gu, '_')}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    unsaved = false;
    say(`Saved as ${link.download} in your downloads. Send it back when you are done; load it to go on.`);
  };
  const load = async file => {
    try {
      const content = JSON.parse(await file.text());
      if (answers.size > 0 && !confirm('Replace the answers given here by those of the file?')) return;
      fromFile(content);
      keep();
      goToUnrated(0);
      say(`Loaded ${file.name}.`);
    } catch (error) {
      say(`${file.name}: ${error.message}`);
    }
  };

  // The page.
  const showProgress = () => {
    const done = sheet.items.filter(isDone).length;
    $('progress').value = done;
    $('position').textContent = `Caption ${position + 1} of ${sheet.items.length}, ${done} rated`;
    const now = currentScale();
    for (const scale of scales) scale.classList.toggle('now', scale === now);
  };
  const currentScale = () => {
    const scores = answers.get(sheet.items[position].id)?.scores;
    return scales.find(scale => scale.contains(document.activeElement)) ?? scales.find(scale => !scores?.has(scale.dataset.scale));
  };
  const showReferences = shown => {
    $('references').hidden = !shown;
    $('reveal').setAttribute('aria-expanded', String(shown));
    $('reveal').textContent = shown ? 'Hide reference' : 'Show reference';
  };
  const show = index => {
    position = Math.min(Math.max(index, 0), sheet.items.length - 1);
    const item = sheet.items[position];
    const answer = answers.get(item.id);

    const paragraph = text => {
      const element = document.createElement('p');
      element.dir = 'auto';
      element.textContent = text;
      return element;
    };
    if (item.image) {
      const image = document.createElement('img');
      image.src = item.image;
      image.alt = `Image of caption ${position + 1}`;
      $('picture').replaceChildren(image);
    } else {
      $('picture').replaceChildren(paragraph(item.missing ?? 'This sheet was made without images.'));
    }
    $('picture').classList.remove('full');
    const empty = item.caption.trim() === '';
    $('caption').textContent = empty ? 'The caption is empty.' : item.caption;
    $('caption').classList.toggle('empty', empty);
    $('references').replaceChildren(...item.references.map(paragraph));
    showReferences(false);
    for (const input of document.querySelectorAll('.grades input')) input.checked = answer?.scores.get(input.name) === Number(input.value);
    $('cannot').checked = answer?.cannot ?? false;
    $('comment').value = answer?.comment ?? '';
    $('previous').disabled = position === 0;
    $('next').disabled = position === sheet.items.length - 1;
    document.activeElement?.blur?.();
    scrollTo(0, 0);
    showProgress();
  };
  const goToUnrated = from => {
    const order = [...sheet.items.keys()];
    const index = [...order.slice(from), ...order.slice(0, from)].find(at => !isDone(sheet.items[at]));
    if (index === undefined) {
      show(position);
      say('All captions are rated. Save your answers and send the file back.');
    } else {
      show(index);
    }
  };

  const grade = (scale, value) => {
    answerOf(sheet.items[position].id).scores.set(scale.dataset.scale, value);
    scale.querySelector(`input[value="${value}"]`).checked = true;
    changed();
  };
  const toggleReference = () => {
    const shown = $('references').hidden;
    showReferences(shown);
    if (shown) {
      answerOf(sheet.items[position].id).shown = true;
      changed();
    }
  };

  for (const scale of scales)
    scale.addEventListener('change', event => grade(scale, Number(event.target.value)));
  $('cannot').addEventListener('change', () => {
    answerOf(sheet.items[position].id).cannot = $('cannot').checked;
    changed();
  });
  $('comment').addEventListener('input', () => {
    answerOf(sheet.items[position].id).comment = $('comment').value;
    changed();
  });
  $('rater').addEventListener('input', changed);
  $('reveal').addEventListener('click', toggleReference);
  $('picture').addEventListener('click', () => $('picture').classList.toggle('full'));
  $('previous').addEventListener('click', () => show(position - 1));
  $('next').addEventListener('click', () => show(position + 1));
  $('unrated').addEventListener('click', () => goToUnrated(position + 1));
  $('save').addEventListener('click', save);
  $('load').addEventListener('change', event => {
    const [file] = event.target.files;
    if (file) load(file);
    event.target.value = '';
  });
  document.addEventListener('focusin', showProgress);

  const keys = {
    n: () => show(position + 1), p: () => show(position - 1), u: () => goToUnrated(position + 1), r: toggleReference, s: save,
    x: () => $('cannot').click(), c: () => $('comment').focus(), z: () => $('picture').click(),
  };
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches('textarea, input:not([type=radio]):not([type=checkbox])');
    if (typing) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (/^[1-5]$/.test(event.key)) {
      const scale = currentScale();
      if (scale === undefined) return;
      grade(scale, Number(event.key));
      const next = scales[scales.indexOf(scale) + 1];
      if (next) (next.querySelector('input:checked') ?? next.querySelector('input')).focus({ preventScroll: true });
      else $('next').focus({ preventScroll: true });
    } else if (Object.hasOwn(keys, event.key.toLowerCase())) {
      keys[event.key.toLowerCase()]();
    } else {
      return;
    }
    event.preventDefault();
  });
  window.addEventListener('beforeunload', event => {
    if (unsaved && !kept) event.preventDefault();
  });

  try {
    const stored = localStorage.getItem(storageKey);
    if (stored !== null) fromFile(JSON.parse(stored));
    kept = true;
  } catch {
    say('This browser keeps no answers between visits: save them to a file before you close the page.');
  }
  goToUnrated(0);
}
