/** Pairing and switching: what the lamp page does, with its effects. */
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { signal, type Signal } from '@preact/signals';
import { apiGet, apiPost, ApiError } from './api.ts';
import { browserLabel, openIdentity, type Identity } from './identity.ts';
import { readKept } from './identity-store.ts';
import { nextSequence, signCommand, type CounterStore } from './lamp-command.ts';
import { withCommands } from './live-state.ts';
import { currentNodeTime, live, refreshStatus, sleep, status } from './store.ts';
import type { CommandState, Device, DeviceDetail, Grant, LampAction, Pairing } from './wire.ts';

export const identity: Signal<Identity | undefined> = signal(undefined);
/** Grants of each lamp to this browser, by lamp address; undefined while not known. */
export const grants: Signal<ReadonlyMap<string, Grant | 'owner' | 'none'>> = signal(new Map());
export const pairing: Signal<'idle' | 'asking' | 'waiting' | 'failed'> = signal('idle');
export const pairingFailure: Signal<Error | undefined> = signal(undefined);

/** The account of the passkey that was used here last; empty when there is none. */
export const passkeyAddress: Signal<string | undefined> = signal(undefined);
/** Lamps that obey the passkey's account and not this browser's own key. */
export const byPasskey: Signal<ReadonlySet<string>> = signal(new Set());

export async function loadIdentity(): Promise<void> {
  identity.value ??= await openIdentity();
  const kept = await readKept<{ readonly publicKey: PublicKey }>('passkey');
  passkeyAddress.value = kept === undefined ? '' : formatAddress(addressOf(kept.publicKey));
}

export async function refreshGrants(lamps: readonly Device[]): Promise<void> {
  const who = identity.value;
  if (who === undefined) return;
  const answers = await Promise.allSettled(
    lamps.map((lamp) => apiGet<DeviceDetail>(`/devices/${lamp.address}`)),
  );
  const next = new Map(grants.value);
  const asked = new Set<string>();
  for (const answer of answers) {
    if (answer.status === 'rejected') continue;
    const { address } = answer.value;
    const own = grantTo(answer.value, who.address);
    const other = own === 'none' ? grantTo(answer.value, passkeyAddress.value ?? '') : 'none';
    if (other !== 'none') asked.add(address);
    next.set(address, other === 'none' ? own : other);
  }
  grants.value = next;
  byPasskey.value = asked;
}

function grantTo({ owner, grants: list }: DeviceDetail, account: string): Grant | 'owner' | 'none' {
  if (owner === account) return 'owner';
  return list.find((grant) => grant.subject === account) ?? 'none';
}

/** The owner (on a devnet: the devnet itself) grants this browser's key; done when the chain says so. */
export async function pair(lamps: readonly Device[]): Promise<void> {
  pairing.value = 'asking';
  pairingFailure.value = undefined;
  try {
    await loadIdentity();
    const who = identity.value;
    if (who === undefined) throw new Error('this browser has no key');
    await apiPost<Pairing>('/devnet/pair', {
      publicKey: who.publicKey,
      label: browserLabel(navigator.userAgent),
    });
    pairing.value = 'waiting';
    for (let attempt = 0; attempt < 30; attempt += 1) {
      await refreshGrants(lamps);
      if (lamps.some((lamp) => isGranted(grants.value.get(lamp.address)))) {
        await provable();
        pairing.value = 'idle';
        return;
      }
      await sleep(500);
    }
    throw new Error(
      'The grant is not on the chain after 15 seconds. See on the overview whether blocks become final.',
    );
  } catch (error) {
    pairing.value = 'failed';
    pairingFailure.value = error instanceof Error ? error : new Error(String(error));
  }
}

/**
 * A block certifies the state before it. So a lamp can be shown the grant only once the next block stands,
 * and a command sent in between would be refused.
 */
async function provable(): Promise<void> {
  await refreshStatus();
  const height = status.value?.height ?? 0;
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if ((status.value?.height ?? 0) > height) return;
    await sleep(200);
    if (attempt % 5 === 4) await refreshStatus();
  }
}

export function isGranted(grant: Grant | 'owner' | 'none' | undefined): boolean {
  return grant !== undefined && grant !== 'none';
}

function counterStore(): CounterStore | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

/** Signs and sends. The command is on the page before the node answers, so that a click is never without effect. */
export async function switchLamp(device: string, action: LampAction): Promise<void> {
  await loadIdentity();
  const who = byPasskey.value.has(device) ? await passkey() : identity.value;
  if (status.value === undefined) await refreshStatus();
  const chain = status.value?.chain;
  if (who === undefined || chain === undefined)
    throw new ApiError('unreachable', 0, 'The node cannot be reached', 'The command was not sent.');
  const now = currentNodeTime();
  const sequence = nextSequence(counterStore(), `${who.address}:${device}`, now);
  const { id, payload } = await signCommand({ identity: who, chain, device, action, sequence, now });
  const answer = await apiPost<CommandState>('/commands', { payload });
  if (answer.id !== id) throw new Error('The node names another command than the one that was signed here.');
  live.value = withCommands(live.value, [answer]);
}

/** Loaded when it is first asked for, as the wallet is. */
async function passkey(): Promise<Pick<Identity, 'key' | 'sign' | 'address'> | undefined> {
  const { passkeyCommander } = await import('./identity-passkey.ts');
  return passkeyCommander();
}
