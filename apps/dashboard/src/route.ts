/** Hash routes: every view has an address that can be kept and shared. Pure. */
export type Route =
  | { readonly kind: 'overview' }
  | { readonly kind: 'graph'; readonly subnet?: string }
  | { readonly kind: 'devices' }
  | { readonly kind: 'device'; readonly device: string }
  | { readonly kind: 'lamps' }
  | { readonly kind: 'explorer' }
  | { readonly kind: 'wallet' }
  | { readonly kind: 'gateways' }
  | { readonly kind: 'block'; readonly height: number }
  | { readonly kind: 'transaction'; readonly id: string }
  | { readonly kind: 'account'; readonly address: string }
  | { readonly kind: 'payload'; readonly id: string }
  | { readonly kind: 'search'; readonly query: string }
  | { readonly kind: 'missing'; readonly path: string };

export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#\/?/, '').replace(/\/+$/, '');
  const cut = path.indexOf('/');
  const head = cut === -1 ? path : path.slice(0, cut);
  const rest = cut === -1 ? '' : decode(path.slice(cut + 1));
  switch (head) {
    case '':
      return { kind: 'overview' };
    case 'graph':
      return rest === '' ? { kind: 'graph' } : { kind: 'graph', subnet: rest };
    case 'devices':
      return rest === '' ? { kind: 'devices' } : { kind: 'device', device: rest };
    case 'lamps':
      return { kind: 'lamps' };
    case 'explorer':
      return { kind: 'explorer' };
    case 'wallet':
      return { kind: 'wallet' };
    case 'gateways':
      return { kind: 'gateways' };
    case 'blocks':
      return /^\d{1,15}$/.test(rest) ? { kind: 'block', height: Number(rest) } : { kind: 'missing', path };
    case 'transactions':
      return { kind: 'transaction', id: rest };
    case 'accounts':
      return { kind: 'account', address: rest };
    case 'payloads':
      return { kind: 'payload', id: rest };
    case 'search':
      return { kind: 'search', query: rest };
    default:
      return { kind: 'missing', path };
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const href = {
  overview: '#/',
  graph: (subnet?: string): string =>
    subnet === undefined ? '#/graph' : `#/graph/${encodeURIComponent(subnet)}`,
  devices: '#/devices',
  device: (device: string): string => `#/devices/${encodeURIComponent(device)}`,
  lamps: '#/lamps',
  explorer: '#/explorer',
  wallet: '#/wallet',
  gateways: '#/gateways',
  block: (height: number): string => `#/blocks/${height}`,
  transaction: (id: string): string => `#/transactions/${id}`,
  account: (address: string): string => `#/accounts/${address}`,
  payload: (id: string): string => `#/payloads/${id}`,
  search: (query: string): string => `#/search/${encodeURIComponent(query)}`,
} as const;

/** Which entry of the navigation a route belongs to. */
export type Section = 'overview' | 'graph' | 'devices' | 'lamps' | 'explorer' | 'wallet';

export function sectionOf(route: Route): Section {
  switch (route.kind) {
    case 'overview':
    case 'graph':
    case 'devices':
    case 'lamps':
    case 'wallet':
      return route.kind;
    case 'gateways':
      return 'overview';
    case 'device':
      return 'devices';
    case 'explorer':
    case 'block':
    case 'transaction':
    case 'account':
    case 'payload':
    case 'search':
    case 'missing':
      return 'explorer';
  }
}

export type Query =
  | { readonly kind: 'empty' }
  | { readonly kind: 'height'; readonly height: number }
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'hash'; readonly hash: string }
  | { readonly kind: 'name'; readonly name: string };

/** What somebody typed into the search box. */
export function classifyQuery(text: string): Query {
  const query = text.trim();
  if (query === '') return { kind: 'empty' };
  const digits = query.replace(/^#/, '').replace(/[\s,_]/g, '');
  if (/^\d{1,15}$/.test(digits)) return { kind: 'height', height: Number(digits) };
  if (/^itc1[a-z0-9]{20,}$/i.test(query)) return { kind: 'address', address: query.toLowerCase() };
  const bare = query.replace(/^0x/i, '');
  if (/^[0-9a-f]{64}$/i.test(bare)) return { kind: 'hash', hash: bare.toLowerCase() };
  return { kind: 'name', name: query };
}
