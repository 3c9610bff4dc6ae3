/**
 * Who owns what and who was given what, as a reader of the accepted transactions would keep it: no counters, no serials, no deposits.
 * What the ledger's records allow is held against it (see `ledger-model.ts`).
 */
import assert from 'node:assert/strict';
import { equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import { groupId, scopeId } from '../ledger/bodies/access.ts';
import type { Body, BodyOf } from '../ledger/body.ts';
import type { Action } from '../ledger/command.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { ACTIONS, mayRead, termsOf, termsRefusal, type Terms } from '../ledger/terms.ts';
import { accessOf } from '../state/find-access.ts';
import type { LedgerState } from '../state/ledger-state.ts';

interface Given {
  readonly terms: Terms;
  readonly granter: Address;
  /** How many owners came after the first when it was given; undefined for a group. */
  readonly ownership: number | undefined;
}

interface Owned {
  readonly owner: Address;
  /** Owners so far, less one. */
  readonly ownership: number;
}

const QUESTIONS: readonly Action[] = [
  { kind: 'on' },
  ...[10, 60, 100, 150, 200, 254].map((level) => ({ kind: 'level', level }) as const),
  ...[2000, 2500, 3000, 4000].map((kelvin) => ({ kind: 'colour-temperature', kelvin }) as const),
];

/** By asking, not by comparing fields: what is allowed below is allowed above, at these moments and for as many further subjects. */
function assertWithin(below: Terms, above: Terms, now: Millis): void {
  for (const hours of [0, 1, 7, 13, 25, 26, 49, 100, 2000]) {
    const at = millis(now + hours * 3_600_000);
    for (const action of QUESTIONS)
      assert.ok(
        termsRefusal(below, action, at) !== undefined || termsRefusal(above, action, at) === undefined,
        `a delegation allows ${action.kind}, which what it hangs on does not`,
      );
    assert.ok(!mayRead(below, at) || mayRead(above, at), 'a delegation lets read what it may not');
  }
  assert.ok((below.uses ?? Infinity) <= (above.uses ?? Infinity), 'a delegation gives more uses');
  assert.ok((below.delegable ?? 0) < (above.delegable ?? 0), 'a delegation may be passed on as often');
}

/** What one device was granted or offered for, held against its model as that stood below the block. */
export function assertWithinModel(before: LedgerState, body: Body): void {
  const device =
    body.kind === 'grant' ? body.grant.device : body.kind === 'offer-rental' ? body.device : undefined;
  const record = device && before.device(device);
  const maker = record && before.batch(record.batch)?.maker;
  const model = maker && before.record('model', idText(maker) + idText(record.model));
  if (model === undefined) return;
  const terms: Pick<Terms, 'actions' | 'levelMax' | 'colour'> | undefined =
    body.kind === 'grant' ? body.grant : body.kind === 'offer-rental' ? body.terms : undefined;
  assert.ok(terms);
  const has = (bit: number): boolean => (terms.actions & bit) !== 0;
  for (const bit of [ACTIONS.onOff, ACTIONS.level, ACTIONS.colour])
    assert.ok(!has(bit) || (model.actions & bit) !== 0, 'given is what the model cannot do');
  assert.ok(!has(ACTIONS.level) || terms.levelMax <= model.levelMax, 'brighter than the model');
  const { colour } = terms;
  if (!has(ACTIONS.colour) || colour === undefined || model.colour === undefined) return;
  assert.ok(model.colour.min <= colour.min && colour.max <= model.colour.max, 'colours the model has not');
}

export class AccessReference {
  readonly #owned = new Map<string, Owned>();
  /** By scope and subject. */
  readonly #granted = new Map<string, Given>();
  /** By scope, subject and who gave it. */
  readonly #delegated = new Map<string, Terms>();

  /** An accepted transaction. */
  accept(sender: Address, body: Body, now: Millis): void {
    const { kind } = body;
    if (kind === 'claim') this.#own(addressOf(body.claim.device), sender);
    else if (kind === 'accept-device') this.#own(body.device, sender);
    else if (kind === 'mark-device' && body.mark === 'recovered') this.#own(body.device, sender);
    else if (kind === 'grant') {
      const { device, subject } = body.grant;
      const ownership = this.#owned.get(idText(device))?.ownership ?? -1;
      this.#give(device, subject, { terms: termsOf(body.grant), granter: sender, ownership });
    } else if (kind === 'grant-group')
      this.#give(body.group, body.subject, { terms: termsOf(body), granter: sender, ownership: undefined });
    else if (kind === 'delegate') this.#delegate(sender, body, now);
    // Made anew it is another group: what was granted for the old one counts no more.
    else if (kind === 'set-group' && body.group === undefined)
      this.#forget(idText(groupId(sender, body.name)));
  }

  #give(scope: Uint8Array, subject: Address, given: Given): void {
    this.#granted.set(idText(scope) + idText(subject), given);
  }

  #delegate(sender: Address, { scope, via, subject, terms }: BodyOf<'delegate'>, now: Millis): void {
    const place = idText(scopeId(scope));
    const above =
      via === undefined
        ? this.#granted.get(place + idText(sender))?.terms
        : this.#delegated.get(place + idText(sender) + idText(via));
    assert.ok(above, 'what was never given was passed on');
    assertWithin(terms, above, now);
    this.#delegated.set(place + idText(subject) + idText(sender), termsOf(terms));
  }

  #own(device: Address, owner: Address): void {
    const before = this.#owned.get(idText(device));
    this.#owned.set(idText(device), { owner, ownership: before === undefined ? 0 : before.ownership + 1 });
  }

  #forget(scope: string): void {
    for (const key of this.#granted.keys()) if (key.startsWith(scope)) this.#granted.delete(key);
  }

  /** All of it, after a block: who owns each device, what each grant says, and that nobody may do what was not given to him. */
  check(state: LedgerState, people: readonly Address[]): void {
    for (const { address, device } of state.devices()) {
      const owned = this.#owned.get(idText(address));
      assert.ok(owned && equalBytes(owned.owner, device.owner), 'a device has an owner nobody made');
      assert.equal(device.transfers, owned.ownership);
    }
    for (const { device: scope, subject, grant } of state.grants()) {
      if (grant.rental !== undefined) continue;
      const given = this.#granted.get(idText(scope) + idText(subject));
      if (given === undefined) {
        // Of a group that was removed: the record waits for its end or its owner.
        assert.equal(state.device(scope), undefined, 'a grant that no transaction made');
        continue;
      }
      assert.ok(equalBytes(given.granter, grant.granter));
      assert.deepEqual(termsOf(grant), given.terms);
    }
    for (const { address } of state.devices())
      for (const who of people) this.#checkAccess(state, address, who);
  }

  /** Every way by which somebody may command a device begins with what its present owner gave, as owner. */
  #checkAccess(state: LedgerState, device: Address, who: Address): void {
    const owned = this.#owned.get(idText(device)) as Owned;
    for (const found of accessOf(state.records, device, who)) {
      const { grant, delegations, group } = found;
      if (grant.rental !== undefined) {
        const rental = state.record('rental', idText(device));
        assert.ok(rental && equalBytes(rental.id, grant.rental) && equalBytes(rental.renter, who));
        assert.deepEqual([grant.actions, grant.levelMax], [rental.terms.actions, rental.terms.levelMax]);
        assert.equal(delegations.length, 0);
        continue;
      }
      const scope = group ?? device;
      const first = delegations[0]?.granter ?? who;
      const given = this.#granted.get(idText(scope) + idText(first));
      assert.ok(given && equalBytes(given.granter, owned.owner), 'somebody acts under what no owner gave');
      if (group === undefined) assert.equal(given.ownership, owned.ownership, 'a grant outlived its owner');
      for (const [i, link] of delegations.entries()) {
        const subject = delegations[i + 1]?.granter ?? who;
        assert.ok(this.#delegated.has(idText(scope) + idText(subject) + idText(link.granter)));
      }
    }
  }
}
