/** Routes about renting: offers, who has a device now, deposits after the end (spec STATE-22). */
import { Type, type Static } from 'typebox';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { idBytes, idText } from '@itc/core/bytes/id-text.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { asAddress, formatAddress } from '@itc/core/ledger/address.js';
import { rentalCharge, termsHash, type RentalTerms } from '@itc/core/ledger/rental.js';
import { ACTIONS } from '@itc/core/ledger/terms.js';
import {
  rentalDue,
  rentalHeld,
  type Rental,
  type RentalOffer,
  type Settlement,
} from '@itc/core/state/rental-record.js';
import type { Chain } from '../runtime/chain.ts';
import { addressParam, hash32 } from './chain-routes.ts';
import { RentalForm, RentalOfferForm, RentalTermsForm, SettlementForm } from './market-schemas.ts';
import { AddressText, Hex32, Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';

const OFFERS_MAX = 200;

const ACTION_NAMES: readonly (readonly [name: string, bit: number])[] = [
  ['on-off', ACTIONS.onOff],
  ['level', ACTIONS.level],
  ['colour', ACTIONS.colour],
  ['read', ACTIONS.read],
];

export function rentalRoutes(chain: Chain): Routes {
  return (api: Api): void => {
    api.get(
      '/api/v1/rentals/offers',
      {
        schema: {
          summary: 'Devices that can be rented',
          description: 'Ascending by device, page by page: `after` is the last device of the page before.',
          querystring: Type.Object({
            after: Type.Optional(AddressText),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: OFFERS_MAX })),
          }),
          response: { 200: Type.Object({ offers: Type.Array(RentalOfferForm) }), '4xx': Problem },
        },
      },
      (request) => {
        const { after, limit = 50 } = request.query;
        const first = after === undefined ? '' : idText(addressParam(after));
        const offers: RentalOfferForm[] = [];
        for (const [id, offer] of chain.state.records.walk('rental-offer')) {
          if (id <= first || !stands(chain, id, offer)) continue;
          if (offers.length >= limit) break;
          offers.push(offerOf(chain, id, offer));
        }
        return { offers };
      },
    );

    api.get(
      '/api/v1/rentals/offers/:device',
      {
        schema: {
          summary: 'The offer to rent a device',
          params: Type.Object({ device: AddressText }),
          response: { 200: RentalOfferForm, 404: Problem },
        },
      },
      (request) => {
        const id = idText(addressParam(request.params.device));
        const offer = chain.state.record('rental-offer', id);
        if (offer === undefined || !stands(chain, id, offer))
          return refuse('rental-offer.unknown', 'the device is not offered for rent');
        return offerOf(chain, id, offer);
      },
    );

    api.get(
      '/api/v1/rentals/devices/:device',
      {
        schema: {
          summary: 'Who rents a device now',
          params: Type.Object({ device: AddressText }),
          response: { 200: RentalForm, 404: Problem },
        },
      },
      (request) => {
        const id = idText(addressParam(request.params.device));
        const rental = chain.state.record('rental', id);
        if (rental === undefined) return refuse('rental.unknown', 'nobody rents this device');
        return rentalOf(chain, id, rental);
      },
    );

    api.get(
      '/api/v1/rentals/settlements/:rental',
      {
        schema: {
          summary: 'The deposit of a rental that has ended',
          params: Type.Object({ rental: Hex32 }),
          response: { 200: SettlementForm, 404: Problem },
        },
      },
      (request) => {
        const id = idText(hash32(request.params.rental));
        const settlement = chain.state.record('settlement', id);
        if (settlement === undefined) return refuse('rental.unknown', 'no deposit of this rental is held');
        return settlementOf(id, settlement);
      },
    );
  };
}

/** A record stays until it is withdrawn or expires; nobody rents by it what was sold, stolen or retired (STATE-22.2). */
function stands(chain: Chain, id: string, { owner }: RentalOffer): boolean {
  const device = chain.state.record('device', id);
  return device?.state === 'owned' && equalBytes(device.owner, owner);
}

function offerOf(chain: Chain, id: string, offer: RentalOffer): RentalOfferForm {
  return {
    device: formatAddress(asAddress(idBytes(id))),
    owner: formatAddress(offer.owner),
    terms: termsOf(offer.terms),
    hash: toHex(termsHash(offer.terms)),
    expiresAt: offer.expiresAt,
    rented: chain.state.record('rental', id) !== undefined,
  };
}

function rentalOf(chain: Chain, id: string, rental: Rental): RentalForm {
  const { terms, maximum, running, rentedAt } = rental;
  return {
    rental: toHex(rental.id),
    device: formatAddress(asAddress(idBytes(id))),
    owner: formatAddress(rental.owner),
    renter: formatAddress(rental.renter),
    state: running === undefined ? 'reserved' : 'running',
    terms: termsOf(terms),
    maximum,
    rentedAt,
    startBy: rentedAt + terms.startWithin,
    ...(running && {
      startedAt: running.startedAt,
      end: running.end,
      uses: running.uses,
      charge: String(chargeNow(chain.time, rental, running)),
    }),
    held: String(rentalHeld(rental)),
    settlesAt: rentalDue(rental),
  };
}

function chargeNow(
  now: number,
  { terms, maximum }: Rental,
  { startedAt, end, uses }: NonNullable<Rental['running']>,
): bigint {
  const elapsedMs = Math.max(0, Math.min(end, now) - startedAt);
  return rentalCharge(terms, { maximum, elapsedMs, uses });
}

function settlementOf(id: string, settlement: Settlement): SettlementForm {
  const { arbiter, claim } = settlement;
  return {
    rental: toHex(asHash(idBytes(id))),
    device: formatAddress(settlement.device),
    owner: formatAddress(settlement.owner),
    renter: formatAddress(settlement.renter),
    ...(arbiter && { arbiter: formatAddress(arbiter) }),
    held: String(settlement.held),
    ...(claim && { claim: { amount: String(claim.amount), conceded: String(claim.conceded) } }),
    until: settlement.until,
  };
}

function termsOf(terms: RentalTerms): Static<typeof RentalTermsForm> {
  const { arbiter, actions } = terms;
  return {
    unit: terms.unit,
    price: String(terms.price),
    minimum: terms.minimum,
    maximum: terms.maximum,
    duration: terms.duration,
    deposit: String(terms.deposit),
    carriage: String(terms.carriage),
    startWithin: terms.startWithin,
    window: terms.window,
    ...(arbiter && { arbiter: formatAddress(arbiter) }),
    actions: ACTION_NAMES.filter(([, bit]) => (actions & bit) !== 0).map(([name]) => name),
    levelMax: terms.levelMax,
  };
}
