import { render } from 'preact';
import { App } from './app.tsx';
import { start } from './store.ts';
import { startTheme } from './theme.ts';

startTheme();
start(new AbortController().signal);
const root = document.querySelector('#app');
if (root !== null) {
  root.replaceChildren();
  render(<App />, root);
}
