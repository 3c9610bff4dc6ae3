/** The frame: navigation, search, the connection banner, and the page of the route. */
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatDuration } from './format.ts';
import { href, sectionOf, type Route, type Section } from './route.ts';
import { Icon, type IconName } from './parts/icon.tsx';
import { Later } from './parts/later.tsx';
import { Dot } from './parts/text.tsx';
import { blocks, clock, connection, nodeless, route, skewMs, status, statusError } from './store.ts';
import { applyTheme, theme, type Theme } from './theme.ts';
import { chainName, readiness } from './words.ts';
import { AccountPage } from './pages/account.tsx';
import { BlockPage } from './pages/block.tsx';
import { DevicePage } from './pages/device.tsx';
import { DevicesPage } from './pages/devices.tsx';
import { ExplorerPage } from './pages/explorer.tsx';
import { GraphPage } from './pages/graph.tsx';
import { LampsPage } from './pages/lamps.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PayloadPage } from './pages/payload.tsx';
import { MissingPage, SearchPage } from './pages/search.tsx';
import { TransactionPage } from './pages/transaction.tsx';

/** Signing and encoding take more than all other pages together, so they come with the page that needs them. */
const loadWallet = async (): Promise<() => VNode> => (await import('./pages/wallet.tsx')).WalletPage;

const loadGateways = async (): Promise<() => VNode> => (await import('./pages/gateways.tsx')).GatewaysPage;

const SECTIONS: readonly {
  readonly key: Section;
  readonly label: string;
  readonly href: string;
  readonly icon: IconName;
}[] = [
  { key: 'overview', label: 'Overview', href: href.overview, icon: 'overview' },
  { key: 'graph', label: 'Live DAG', href: href.graph(), icon: 'graph' },
  { key: 'devices', label: 'Devices', href: href.devices, icon: 'devices' },
  { key: 'lamps', label: 'Lamps', href: href.lamps, icon: 'lamps' },
  { key: 'explorer', label: 'Explorer', href: href.explorer, icon: 'explorer' },
  { key: 'wallet', label: 'Wallet', href: href.wallet, icon: 'key' },
];

export function App(): VNode {
  const here = route.value;
  const section = sectionOf(here);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    window.scrollTo(0, 0);
  }, [here]);
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <nav class="nav" aria-label="Main">
        <a class="brand" href={href.overview} aria-label="IoT Chain, overview">
          <Logo />
          <span>
            IoT Chain
            <small>{chainName(status.value) ?? 'connecting'}</small>
          </span>
        </a>
        <ul>
          {SECTIONS.map((entry) => (
            <li key={entry.key}>
              <a href={entry.href} aria-current={entry.key === section ? 'page' : undefined}>
                <Icon name={entry.icon} size={20} />
                <span>{entry.label}</span>
              </a>
            </li>
          ))}
        </ul>
        <div class="nav-foot">
          <ThemeToggle />
        </div>
      </nav>
      <div class="body">
        <div class="top">
          <Search />
          <LiveMark />
          <div class="top-theme">
            <ThemeToggle />
          </div>
        </div>
        <Banner />
        <main id="main" tabIndex={-1} ref={main}>
          <PageOf route={here} />
        </main>
      </div>
    </div>
  );
}

function PageOf({ route: here }: { readonly route: Route }): VNode {
  switch (here.kind) {
    case 'overview':
      return <OverviewPage />;
    case 'graph':
      return <GraphPage {...(here.subnet === undefined ? {} : { subnet: here.subnet })} />;
    case 'devices':
      return <DevicesPage />;
    case 'device':
      return <DevicePage key={here.device} device={here.device} />;
    case 'lamps':
      return <LampsPage />;
    case 'wallet':
      return <Later load={loadWallet} />;
    case 'gateways':
      return <Later load={loadGateways} />;
    case 'explorer':
      return <ExplorerPage />;
    case 'block':
      return <BlockPage height={here.height} />;
    case 'transaction':
      return <TransactionPage id={here.id} />;
    case 'account':
      return <AccountPage address={here.address} />;
    case 'payload':
      return <PayloadPage id={here.id} />;
    case 'search':
      return <SearchPage query={here.query} />;
    case 'missing':
      return <MissingPage path={here.path} />;
  }
}

function Logo(): VNode {
  return (
    <svg class="logo" width="28" height="28" viewBox="0 0 28 28" aria-hidden="true" focusable="false">
      <rect width="28" height="28" rx="7" />
      <path d="M8 9.5 14 14M8 18.5 14 14M14 14h6" />
      <circle cx="8" cy="9.5" r="2.4" />
      <circle cx="8" cy="18.5" r="2.4" />
      <circle cx="20" cy="14" r="2.9" />
    </svg>
  );
}

function Search(): VNode {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    const query = field.current?.value.trim() ?? '';
    if (query !== '') location.hash = href.search(query);
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <Icon name="search" />
      <input
        ref={field}
        type="search"
        name="q"
        aria-label="Search: height, id, address or device name"
        placeholder="Search height, id, address, device"
        autocomplete="off"
        spellcheck={false}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

/** One glance: is the stream live, is the chain ready. */
function LiveMark(): VNode {
  const line = connection.value.kind;
  const now = status.value;
  const verdict = now === undefined ? undefined : readiness(now);
  const tone = line === 'retrying' ? 'warn' : (verdict?.tone ?? 'idle');
  const text = line === 'retrying' ? 'Reconnecting' : (verdict?.title ?? 'Connecting');
  return (
    <a class={`live live-${tone}`} href={href.overview} aria-live="polite">
      {/* A new key per block: the mark beats once when one arrives, and rests in between. */}
      <Dot key={blocks.value[0]?.height ?? 0} tone={tone} pulse={line === 'live' && tone === 'good'} />
      <span>{text}</span>
    </a>
  );
}

function Banner(): VNode | null {
  const line = connection.value;
  const skew = skewMs.value;
  if (line.kind === 'retrying') {
    const left = Math.max(0, line.nextAt - clock.value);
    const reached = statusError.value === undefined;
    return (
      <div class="banner" role="status">
        <Icon name="warning" />
        <p>
          <strong>
            {!reached
              ? 'Connection lost, retrying.'
              : nodeless.value
                ? 'No node answers, retrying.'
                : 'Live connection lost, retrying.'}
          </strong>{' '}
          {reached && !nodeless.value
            ? 'The page asks every three seconds instead.'
            : `Nothing new for ${formatDuration(Math.max(0, clock.value - line.since))}; what you see may be out of date.`}
        </p>
        <span class="banner-count" aria-hidden="true">
          attempt {line.attempt}, {left < 1000 ? 'now' : `in ${Math.ceil(left / 1000)} s`}
        </span>
      </div>
    );
  }
  if (Math.abs(skew) > 30_000)
    return (
      <div class="banner" role="status">
        <Icon name="warning" />
        <p>
          <strong>
            This computer’s clock is {formatDuration(Math.abs(skew))} {skew > 0 ? 'behind' : 'ahead of'} the
            node’s.
          </strong>{' '}
          Times here follow the node. Set the clock, or lamps may refuse commands as expired.
        </p>
      </div>
    );
  return null;
}

const THEMES: readonly { readonly key: Theme; readonly icon: IconName; readonly label: string }[] = [
  { key: 'system', icon: 'system', label: 'Appearance as the system' },
  { key: 'light', icon: 'sun', label: 'Light appearance' },
  { key: 'dark', icon: 'moon', label: 'Dark appearance' },
];

function ThemeToggle(): VNode {
  const at = THEMES.findIndex((entry) => entry.key === theme.value);
  const entry = THEMES[at] ?? { key: 'system', icon: 'system', label: 'Appearance as the system' };
  const next = THEMES[(at + 1) % THEMES.length] ?? entry;
  const [said, setSaid] = useState('');
  const change = (): void => {
    applyTheme(next.key);
    setSaid(next.label);
  };
  return (
    <>
      <button
        type="button"
        class="icon-button theme"
        onClick={change}
        title={`${entry.label}. Click: ${next.label.toLowerCase()}`}
        aria-label={`${entry.label}. Change to: ${next.label.toLowerCase()}`}
      >
        <Icon name={entry.icon} />
        <span>{entry.key === 'system' ? 'System' : entry.key === 'light' ? 'Light' : 'Dark'}</span>
      </button>
      <span class="off-screen" aria-live="polite">
        {said}
      </span>
    </>
  );
}
