import type { VNode } from 'preact';

/** Line icons on a 20 × 20 grid, drawn for this page. */
const PATHS = {
  overview: 'M3.5 10.5 10 4l6.5 6.5M5.5 9v7h9V9M8.5 16v-4h3v4',
  graph:
    'M5 6.5 10 10M5 13.5 10 10M10 10h5M4 7.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM4 15.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM16 11.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z',
  devices: 'M6 6h8v8H6zM8.5 3v3M11.5 3v3M8.5 14v3M11.5 14v3M3 8.5h3M3 11.5h3M14 8.5h3M14 11.5h3',
  lamps:
    'M10 2.8a5 5 0 0 0-2.8 9.1c.5.4.8.9.8 1.5v.1h4v-.1c0-.6.3-1.1.8-1.5A5 5 0 0 0 10 2.8ZM8.3 16h3.4M9 17.8h2',
  explorer: 'M3.5 6.5 10 3l6.5 3.5L10 10zM3.5 6.5v7L10 17l6.5-3.5v-7M10 10v7',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13.2 13.2 17 17',
  sun: 'M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM10 2.5v1.6M10 15.9v1.6M2.5 10h1.6M15.9 10h1.6M4.7 4.7l1.1 1.1M14.2 14.2l1.1 1.1M4.7 15.3l1.1-1.1M14.2 5.8l1.1-1.1',
  moon: 'M16.5 11.8A6.8 6.8 0 0 1 8.2 3.5a6.8 6.8 0 1 0 8.3 8.3Z',
  system: 'M3 4.5h14v9H3zM7.5 16.5h5M10 13.5v3',
  copy: 'M7.5 7.5V4.3h8.2v8.2h-3.2M4.3 7.5h8.2v8.2H4.3z',
  check: 'M4.5 10.5 8.3 14.3 15.5 6.5',
  cross: 'M5.5 5.5l9 9M14.5 5.5l-9 9',
  pause: 'M7 4.5v11M13 4.5v11',
  play: 'M6.5 4.5 15 10l-8.5 5.5z',
  download: 'M10 3.5v9M6.3 9.3 10 13l3.7-3.7M4 16.5h12',
  key: 'M7 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM10.5 10H17v3M14 10v2',
  shield: 'M10 2.8 4.5 5v4.5c0 3.6 2.3 6.3 5.5 7.7 3.2-1.4 5.5-4.1 5.5-7.7V5zM7.5 10l1.8 1.8 3.4-3.6',
  sensor:
    'M10 11.3a1.3 1.3 0 1 0 0-2.6 1.3 1.3 0 0 0 0 2.6ZM6.9 13.1a4.4 4.4 0 0 1 0-6.2M13.1 6.9a4.4 4.4 0 0 1 0 6.2M4.7 15.3a7.5 7.5 0 0 1 0-10.6M15.3 4.7a7.5 7.5 0 0 1 0 10.6',
  arrow: 'M4.5 10h11M11 5.5l4.5 4.5-4.5 4.5',
  back: 'M15.5 10h-11M9 5.5 4.5 10 9 14.5',
  warning: 'M10 3.2 17.3 16H2.7zM10 8v3.6M10 13.8v.2',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }): VNode {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.5"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
