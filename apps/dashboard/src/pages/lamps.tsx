import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { apiGet, ApiError } from '../api.ts';
import { formatAbsolute, formatClock, formatDuration, levelPercent, percentLevel } from '../format.ts';
import { COMMAND_LIFE_MS } from '../lamp-command.ts';
import { lampState } from '../lamp-state.ts';
import { startedAt, withCommands } from '../live-state.ts';
import { Icon } from '../parts/icon.tsx';
import { Card, Empty, Failure, Loading, Page } from '../parts/surface.tsx';
import { Ago, Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import { actionLabel, commandStages, commandSummary, isLate, isSettled } from '../stages.ts';
import { commands, devices, live, nodeNow, status } from '../store.ts';
import {
  grants,
  byPasskey,
  identity,
  isGranted,
  loadIdentity,
  pair,
  pairing,
  pairingFailure,
  passkeyAddress,
  refreshGrants,
  switchLamp,
} from '../switching.ts';
import type { CommandState, Device, Grant, LampAction } from '../wire.ts';
import { asSentence, grantWords, refusalWords } from '../words.ts';
import { byName, deviceName, Presence } from './devices.tsx';

export function LampsPage(): VNode {
  const lamps = [...devices.value.values()]
    .filter((device) => device.kind === 'lamp' || device.state !== undefined)
    .sort(byName);
  const addresses = lamps.map((lamp) => lamp.address).join();
  useEffect(() => {
    let ended = false;
    const check = async (): Promise<void> => {
      await loadIdentity();
      if (!ended) await refreshGrants(lamps);
    };
    void check();
    const timer = setInterval(() => void check(), 10_000);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [addresses]);
  return (
    <Page
      title="Lamps"
      lead="Commands are signed in this browser. The lamp itself checks your right to give them."
    >
      {lamps.length === 0 ? (
        <Card>
          {status.value === undefined ? (
            <Loading lines={5} label="Loading the lamps" />
          ) : (
            <Empty icon="lamps" title="No lamp yet">
              A lamp appears here when it connects to a gateway.
            </Empty>
          )}
        </Card>
      ) : (
        <>
          <PairingCard lamps={lamps} />
          <ul class="cards cards-lamps">
            {lamps.map((lamp) => (
              <LampCard key={lamp.address} lamp={lamp} grant={grants.value.get(lamp.address)} />
            ))}
          </ul>
        </>
      )}
    </Page>
  );
}

function PairingCard({ lamps }: { readonly lamps: readonly Device[] }): VNode | null {
  const who = identity.value;
  const known = lamps.filter((lamp) => grants.value.has(lamp.address));
  if (who === undefined || known.length === 0) return null;
  const open = known.filter((lamp) => isGranted(grants.value.get(lamp.address)));
  const busy = pairing.value === 'asking' || pairing.value === 'waiting';
  const protection =
    who.protection === 'non-extractable'
      ? 'The secret key cannot be read out, not even by this page.'
      : who.protection === 'stored'
        ? 'The secret key is kept in this browser only.'
        : 'This browser keeps nothing, so the key is lost when you close the page.';
  if (open.length > 0 && !busy)
    return (
      <p class="paired">
        <Icon name="shield" />
        <span>
          This browser may switch {open.length} of {lamps.length} lamps. Its key:{' '}
          <Id value={who.address} link={href.account(who.address)} label="address of this browser" />
        </span>
      </p>
    );
  const failure = pairingFailure.value;
  const elsewhere = failure instanceof ApiError && failure.code === 'not-found';
  return (
    <section class="pairing" aria-label="Pairing">
      <span class="pairing-icon">
        <Icon name="key" size={26} />
      </span>
      <div>
        <h2>Pair this browser to switch the lamps</h2>
        <p>
          This browser has made its own key. Pairing asks the owner to grant that key the right to switch
          these lamps, as a transaction on the chain. {protection} It never leaves this browser; only the
          public key is sent.
        </p>
        <p class="muted">
          Address of this browser: <Id value={who.address} label="address of this browser" />
        </p>
        {failure === undefined ? null : elsewhere ? (
          <div class="callout callout-warn" role="alert">
            <Icon name="warning" />
            <div>
              <strong>This node is not a devnet, so it cannot grant by itself.</strong>
              <p>
                Give the owner the address above. With a grant on the chain, the switches here begin to work.
              </p>
            </div>
          </div>
        ) : (
          <Failure error={failure} />
        )}
      </div>
      <button type="button" class="button button-primary" disabled={busy} onClick={() => void pair(lamps)}>
        {pairing.value === 'asking'
          ? 'Asking the owner'
          : pairing.value === 'waiting'
            ? 'Waiting for the chain'
            : 'Pair this browser'}
      </button>
    </section>
  );
}

function LampCard({
  lamp,
  grant,
}: {
  readonly lamp: Device;
  readonly grant: Grant | 'owner' | 'none' | undefined;
}): VNode {
  const mine = commands.value.filter((command) => command.device === lamp.address);
  const last = mine[0];
  const [failure, setFailure] = useState<Error | undefined>(undefined);
  const [sending, setSending] = useState(false);
  const state = lampState(lamp) ?? { on: false, level: 0 };
  const paired = isGranted(grant);
  const name = deviceName(lamp);
  const act = async (action: LampAction): Promise<void> => {
    setSending(true);
    setFailure(undefined);
    try {
      await switchLamp(lamp.address, action);
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setSending(false);
    }
  };
  useFollow(last);
  const glow = state.on ? 0.25 + 0.75 * (state.level / 254) : 0;
  return (
    <li class={`card lamp ${state.on ? 'lamp-on' : ''}`}>
      <header class="lamp-head">
        <span class="bulb" style={{ '--glow': String(glow) }}>
          <Icon name="lamps" size={30} />
        </span>
        <div class="lamp-title">
          <h2>
            <a href={href.device(lamp.address)}>{name}</a>
          </h2>
          <p class="muted">
            <Presence device={lamp} />
          </p>
        </div>
        <button
          type="button"
          class="switch"
          role="switch"
          aria-checked={state.on}
          aria-label={`${name} on`}
          disabled={!paired || sending}
          onClick={() => void act({ kind: state.on ? 'off' : 'on' })}
        >
          <i />
        </button>
      </header>
      <Dimmer
        name={name}
        level={state.level}
        on={state.on}
        answer={`${state.on} ${state.level} ${last?.id} ${last?.stages.acknowledged}`}
        disabled={!paired || sending}
        onLevel={(level) => void act({ kind: 'level', level })}
      />
      {byPasskey.value.has(lamp.address) ? (
        <p class="lamp-grant muted">It obeys your passkey, which is asked for each time.</p>
      ) : null}
      {typeof grant === 'object' ? (
        <p class="lamp-grant muted">
          You may {grantWords(grant)}, until {formatAbsolute(grant.expiresAt).slice(0, 16)}.
        </p>
      ) : grant === 'none' && [...grants.value.values()].some(isGranted) ? (
        <p class="lamp-grant muted">This browser has no right to this lamp.</p>
      ) : null}
      {failure === undefined ? null : <Failure error={failure} />}
      {last === undefined ? (
        <p class="muted lamp-none">No command yet.</p>
      ) : (
        <CommandTrack
          command={last}
          own={last.signer === identity.value?.address || last.signer === passkeyAddress.value}
        />
      )}
      {mine.length > 1 ? <History commands={mine.slice(1, 6)} /> : null}
    </li>
  );
}

/** The stream brings a command's stages; if it is down, the page asks, until all is settled. */
function useFollow(command: CommandState | undefined): void {
  const open = command !== undefined && !isSettled(command);
  const id = command?.id;
  useEffect(() => {
    if (!open || id === undefined) return undefined;
    const timer = setInterval(() => {
      apiGet<CommandState>(`/commands/${id}`)
        .then((answer) => {
          live.value = withCommands(live.value, [answer]);
        })
        .catch(() => undefined);
    }, 1_500);
    return () => clearInterval(timer);
  }, [open, id]);
}

/** `answer` changes with every answer of the lamp, a refusal included. */
function Dimmer({
  name,
  level,
  on,
  answer,
  disabled,
  onLevel,
}: {
  readonly name: string;
  readonly level: number;
  readonly on: boolean;
  readonly answer: string;
  readonly disabled: boolean;
  readonly onLevel: (level: number) => void;
}): VNode {
  const [draft, setDraft] = useState<number | undefined>(undefined);
  const settled = useRef(answer);
  // The lamp's own answer replaces what the hand set.
  if (settled.current !== answer) {
    settled.current = answer;
    if (draft !== undefined) setDraft(undefined);
  }
  // A lamp that is off keeps its level; dimming it switches it on.
  const percent = draft ?? levelPercent(level);
  const dark = !on && draft === undefined;
  return (
    <label class={dark ? 'dimmer dimmer-off' : 'dimmer'}>
      <span>Brightness</span>
      <input
        type="range"
        min={1}
        max={100}
        value={Math.max(1, percent)}
        disabled={disabled}
        aria-label={`Brightness of ${name}`}
        aria-valuetext={dark ? `off, set to ${percent} %` : `${percent} %`}
        style={{ '--fill': `${percent}%` }}
        onInput={(event) => setDraft(Number(event.currentTarget.value))}
        onChange={(event) => onLevel(percentLevel(Number(event.currentTarget.value)))}
      />
      <output class="number">{dark ? 'off' : `${percent} %`}</output>
    </label>
  );
}

function CommandTrack({ command, own }: { readonly command: CommandState; readonly own: boolean }): VNode {
  const now = nodeNow.value;
  const stages = commandStages(command);
  const refusal = command.outcome?.kind === 'refused' ? refusalWords(command.outcome.reason) : undefined;
  const late = isLate(command, now);
  const start = startedAt(command);
  return (
    <section class="track" aria-label="Last command">
      <header>
        <h3>{actionLabel(command.action)}</h3>
        <span class="muted">
          {own ? 'this browser' : 'another key'}, {start === undefined ? 'just now' : <Ago time={start} />}
        </span>
      </header>
      <ol class="stages">
        {stages.map((stage) => (
          <li
            key={stage.key}
            class={`stage stage-${stage.state}`}
            {...(stage.at === undefined ? {} : { title: formatAbsolute(stage.at) })}
          >
            <i>
              {stage.state === 'done' ? (
                <Icon name="check" size={12} />
              ) : stage.state === 'refused' ? (
                <Icon name="cross" size={12} />
              ) : null}
            </i>
            <span class="stage-label">{stage.label}</span>
            <span class="stage-time number">
              {stage.at === undefined
                ? stage.state === 'active'
                  ? 'waiting'
                  : ''
                : stage.after === undefined
                  ? formatClock(stage.at)
                  : `+${formatDuration(stage.after)}`}
            </span>
          </li>
        ))}
      </ol>
      <p class="off-screen" aria-live="polite">
        {actionLabel(command.action)}: {commandSummary(command, now)}
      </p>
      {refusal === undefined ? null : (
        <div class="callout callout-bad">
          <Icon name="warning" />
          <div>
            <strong>{refusal.what}</strong>
            <p>{refusal.next}</p>
          </div>
        </div>
      )}
      {late && refusal === undefined ? (
        <div class="callout callout-warn">
          <Icon name="warning" />
          <div>
            <strong>
              {command.waiting === undefined ? 'No answer from the lamp yet.' : asSentence(command.waiting)}
            </strong>
            <p>
              {now - (start ?? now) > COMMAND_LIFE_MS
                ? 'The command has lapsed: the lamp would refuse it now. Send it again when the lamp is back.'
                : 'The command waits at the gateway. It lapses two minutes after it was sent.'}
            </p>
          </div>
        </div>
      ) : null}
    </section>
  );
}

function History({ commands: list }: { readonly commands: readonly CommandState[] }): VNode {
  return (
    <details class="history">
      <summary>Earlier commands</summary>
      <ul>
        {list.map((command) => {
          const { acknowledged, final } = command.stages;
          const start = startedAt(command);
          return (
            <li key={command.id}>
              <span>{actionLabel(command.action)}</span>
              <span class={command.outcome?.kind === 'refused' ? 'ink-bad' : 'muted'}>
                {command.outcome?.kind === 'refused'
                  ? 'refused'
                  : acknowledged === undefined
                    ? 'no answer'
                    : `done in ${formatDuration(acknowledged - (start ?? acknowledged))}`}
                {final === undefined ? '' : ', final'}
              </span>
              <span class="muted">{start === undefined ? 'just now' : <Ago time={start} />}</span>
            </li>
          );
        })}
      </ul>
    </details>
  );
}
