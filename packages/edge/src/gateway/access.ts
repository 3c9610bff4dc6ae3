/** Who may connect to the gateway's broker, and to which topics (spec EDGE-5, EDGE-6). Whatever is not named is refused. */
import { fromHex } from '@itc/core/bytes/hex.js';
import {
  ED25519,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  type PublicKey,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { Access, Login, LoginStep, Principal } from '../1-connection/mqtt/login.ts';
import { REASON } from '../1-connection/mqtt/reason.ts';
import { LOGIN_METHOD, loginSigningBytes } from '../login-proof.ts';
import type { LedgerPort } from '../ports.ts';
import { downTopic, epochBelow, HEADER_TOPIC, noticeTopic, OWN_UP_TOPIC, upTopic } from '../topics.ts';
import type { Challenges } from './challenges.ts';
import { checkCredential, type StoredCredential } from './credential.ts';
import type { Directory } from './directory.ts';

export interface DevicePrincipal extends Principal {
  /** The address in bech32m. */
  readonly id: string;
  readonly address: Address;
  /** `legacy`: has no key, so the gateway signs for it. */
  readonly kind: 'key' | 'legacy';
}

type Step = LoginStep<DevicePrincipal>;

/** Nobody has this credential; comparing with it takes as long as with a real one. */
const NOBODY: StoredCredential = { salt: '00'.repeat(16), hash: '00'.repeat(32) };

export class GatewayAccess implements Access<DevicePrincipal> {
  readonly #ledger: LedgerPort;
  readonly #directory: Directory;
  readonly #challenges: Challenges;
  readonly #verify: SignatureVerifier;

  constructor(o: {
    ledger: LedgerPort;
    directory: Directory;
    challenges: Challenges;
    verify: SignatureVerifier;
  }) {
    this.#ledger = o.ledger;
    this.#directory = o.directory;
    this.#challenges = o.challenges;
    this.#verify = o.verify;
  }

  login(login: Login): Step | Promise<Step> {
    const { method, data, username, password } = login;
    if (method !== undefined) {
      if (method !== LOGIN_METHOD)
        return refuse(REASON.badAuthenticationMethod, `expected the method ${LOGIN_METHOD}`);
      return this.#challenge(data ?? new Uint8Array());
    }
    if (username === undefined || password === undefined)
      return refuse(
        REASON.notAuthorised,
        'a device logs in by its key or by the credential its owner enrolled',
      );
    if (username.startsWith('itc1')) return this.#signedPassword(username, password);
    return this.#credential(username, password);
  }

  mayPublish(principal: DevicePrincipal, topic: string): boolean {
    return topic === OWN_UP_TOPIC || this.#names(principal).some((name) => topic === upTopic(name));
  }

  maySubscribe(principal: DevicePrincipal, filter: string): boolean {
    return (
      filter === HEADER_TOPIC ||
      filter === downTopic(principal.id) ||
      epochBelow(filter, HEADER_TOPIC) !== undefined ||
      epochBelow(filter, downTopic(principal.id)) !== undefined ||
      this.#names(principal).some((name) => filter === noticeTopic(name))
    );
  }

  /** A device is spoken of by its address and by its name. */
  #names(principal: DevicePrincipal): string[] {
    const name = this.#directory.get(principal.address)?.row.name;
    return name === undefined ? [principal.id] : [principal.id, name];
  }

  #challenge(data: Uint8Array): Step {
    if (data.length !== PUBLIC_KEY_BYTES)
      return refuse(REASON.notAuthorised, 'expected the public key of 32 bytes as authentication data');
    const key: PublicKey = { algorithm: ED25519, bytes: data.slice() };
    const { challenge } = this.#challenges.issue();
    return { kind: 'continue', data: challenge, next: (signature) => this.#prove(key, challenge, signature) };
  }

  #signedPassword(username: string, password: Uint8Array): Step {
    const parts = Buffer.from(password).toString('latin1').split('.').map(fromHex);
    const [keyBytes, challenge, signature] = parts.map((part) => (part.ok ? part.value : undefined));
    if (
      parts.length !== 3 ||
      keyBytes?.length !== PUBLIC_KEY_BYTES ||
      challenge === undefined ||
      signature === undefined
    )
      return refuse(
        REASON.badCredentials,
        'expected the password <public key>.<challenge>.<signature> in hex',
      );
    const key: PublicKey = { algorithm: ED25519, bytes: keyBytes };
    if (formatAddress(addressOf(key)) !== username)
      return refuse(REASON.badCredentials, 'the key does not belong to this address');
    return this.#prove(key, challenge, signature);
  }

  #prove(key: PublicKey, challenge: Uint8Array, signature: Uint8Array): Step {
    if (!this.#challenges.isOpen(challenge))
      return refuse(
        REASON.notAuthorised,
        'the challenge is not one of this gateway, was used, or has expired',
      );
    const { chain, gateway } = this.#ledger;
    const message = loginSigningBytes({ chain, gateway, challenge });
    if (signature.length !== SIGNATURE_BYTES || !this.#verify(key, message, signature))
      return refuse(REASON.notAuthorised, 'the signature does not cover this challenge');
    const address = addressOf(key);
    const record = this.#ledger.device(address);
    if (record === undefined || record.state === 'retired')
      return refuse(REASON.notAuthorised, 'the device is not registered to an owner');
    // Used up last, so that a login that fails for another reason can be tried again.
    if (!this.#challenges.use(challenge)) return refuse(REASON.serverBusy, 'too many logins at a time');
    return { kind: 'accept', principal: { id: formatAddress(address), address, kind: 'key' } };
  }

  async #credential(username: string, password: Uint8Array): Promise<Step> {
    const known = this.#directory.find(username);
    const stored = known?.row.name === username ? known.row.credential : undefined;
    // The same work for names that do not exist, so that time does not tell which do.
    const holds = await checkCredential(stored ?? NOBODY, password);
    if (known === undefined || stored === undefined || !holds)
      return refuse(REASON.badCredentials, 'name or credential is wrong');
    return { kind: 'accept', principal: { id: known.text, address: known.address, kind: 'legacy' } };
  }
}

function refuse(code: Extract<Step, { kind: 'refuse' }>['code'], reason: string): Step {
  return { kind: 'refuse', code, reason };
}
