/**
 * An account behind a passkey of this site: made once, asked for every transfer. The browser keeps credential id and public key, the
 * authenticator keeps the secret; who signs in where neither is kept signs once, and the ledger says which key it was.
 */
import { createClient, type Client } from '@itc/client/client.js';
import { createPasskey, findPasskey, passkeySigner, type Passkey } from '@itc/client/passkey.js';
import { buildTransaction, transfer } from '@itc/client/transactions.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { amount, height, type Amount } from '@itc/core/ledger/ids.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { signal, type Signal } from '@preact/signals';
import { apiGet, ApiError } from './api.ts';
import { browserLabel, type Identity } from './identity.ts';
import { keep, readKept } from './identity-store.ts';
import type { Account } from './wire.ts';

export interface PasskeyIdentity {
  readonly passkey: Passkey;
  readonly address: string;
}

/** Undefined until somebody has signed in. */
export const passkeyIdentity: Signal<PasskeyIdentity | undefined> = signal(undefined);

const SLOT = 'passkey';
const VALID_BLOCKS = 1_000;
const FINAL_MS_MAX = 30_000;
/** A passkey belongs to a host name; an address in numbers has none, and plain http has no passkeys at all. */
export const canUsePasskeys: boolean =
  typeof PublicKeyCredential !== 'undefined' && !/^[\d.]+$|^\[/.test(globalThis.location?.hostname ?? '');

const options = (): Parameters<typeof passkeySigner>[1] => ({
  credentials: navigator.credentials,
  rpId: location.hostname,
});

/** The passkey this browser used last. */
export async function loadPasskey(): Promise<void> {
  if (passkeyIdentity.value !== undefined) return;
  const kept = await readKept<Passkey>(SLOT);
  if (kept !== undefined) passkeyIdentity.value = identityOf(kept);
}

/** Asks for a new passkey: a new account. */
export async function makePasskey(): Promise<void> {
  const passkey = await createPasskey({
    ...options(),
    label: `IoT Chain, ${browserLabel(navigator.userAgent)}, ${new Date().toISOString().slice(0, 10)}`,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
  });
  await signIn(passkey);
}

/** Asks for one that was made before, here or on another device. Throws `account.unknown` when its account has no history. */
export async function findKnownPasskey(): Promise<void> {
  const challenge = crypto.getRandomValues(new Uint8Array(32));
  for (const passkey of await findPasskey({ ...options(), challenge }))
    if (await isOnLedger(identityOf(passkey).address)) return signIn(passkey);
  throw new ApiError(
    'account.unknown',
    404,
    'This passkey has no account on the chain yet',
    'Its key cannot be told from one signature alone. Use the browser it was made in, or make a new one.',
  );
}

async function signIn(passkey: Passkey): Promise<void> {
  await keep(SLOT, passkey);
  passkeyIdentity.value = identityOf(passkey);
}

function identityOf(passkey: Passkey): PasskeyIdentity {
  return { passkey, address: formatAddress(addressOf(passkey.publicKey)) };
}

/** Signs commands to lamps: whoever holds the authenticator is asked for each of them. */
export async function passkeyCommander(): Promise<Pick<Identity, 'key' | 'sign' | 'address'> | undefined> {
  await loadPasskey();
  const who = passkeyIdentity.value;
  if (who === undefined) return undefined;
  const signer = passkeySigner(who.passkey, options());
  return { key: signer.publicKey, address: who.address, sign: async (bytes) => signer.sign(bytes) };
}

async function isOnLedger(address: string): Promise<boolean> {
  try {
    const { balance, nonces } = await apiGet<Account>(`/accounts/${address}`);
    return balance !== '0' || Object.keys(nonces).length > 0;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

/** Signs with the passkey, sends, and waits until it is final. Throws what the ledger says against it. */
export async function sendFromPasskey(to: Address, value: Amount): Promise<string> {
  const who = passkeyIdentity.value;
  if (who === undefined) throw new Error('nobody has signed in with a passkey');
  const client: Client = createClient({ url: '', fetch: (url, init) => fetch(url, init) });
  const signer = passkeySigner(who.passkey, options());
  const [{ genesis, chain }, { height: now }, nonce] = await Promise.all([
    client.genesis(),
    client.status(),
    client.nextNonce(signer.address),
  ]);
  const place = {
    chain,
    signer,
    nonce,
    feePerByte: genesis.feePerByte,
    validUntil: height(now + VALID_BLOCKS),
  };
  const transaction = await buildTransaction(place, transfer(to, value));
  const { status } = await client.submitAndWait(transaction, { timeoutMs: FINAL_MS_MAX });
  const { receipt } = status;
  if (receipt?.ok === false)
    throw new ApiError(receipt.code ?? 'internal', 0, 'The ledger refused it', receipt.message ?? '');
  return toHex(transaction.id);
}

/** What somebody typed as receiver and amount in ITC; a sentence when it cannot be sent. */
export function parseTransfer(
  to: string,
  value: string,
): { readonly to: Address; readonly amount: Amount } | string {
  const address = parseAddress(to.trim());
  if (!address.ok) return `The receiver is not an address: ${address.message}.`;
  const match = /^(\d{1,9})(?:[.,](\d{1,9}))?$/.exec(value.trim());
  const units =
    match && BigInt(match[1] as string) * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
  if (units === null || units === 0n) return 'The amount is not a number of ITC, like 1.5.';
  return { to: address.value, amount: amount(units) };
}
