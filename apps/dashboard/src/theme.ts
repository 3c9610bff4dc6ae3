/** Light, dark, or as the system says; the choice is kept in this browser. */
import { signal, type Signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'itc-theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

export const theme: Signal<Theme> = signal('system');
/** Counts changes of appearance, from the toggle or the system: canvases re-read their colours then. */
export const appearance: Signal<number> = signal(0);

export function applyTheme(next: Theme): void {
  theme.value = next;
  if (next === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = next;
  try {
    if (next === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // The choice then lasts as long as the page.
  }
  appearance.value += 1;
}

export function startTheme(): void {
  applyTheme(stored());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    appearance.value += 1;
  });
}

export function prefersReducedMotion(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
