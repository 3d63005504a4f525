'use strict';
// The theme is the system's until someone chooses.
{
  const button = document.getElementById('theme');
  const root = document.documentElement;
  button.hidden = false;
  button.addEventListener('click', () => {
    const dark = root.style.colorScheme ? root.style.colorScheme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.style.colorScheme = dark ? 'light' : 'dark';
  });
}
