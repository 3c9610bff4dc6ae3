/** What validators may change of the rules of a chain, within bounds that they may not (spec STATE-21). */
import type { Reader } from '../../bytes/reader.ts';
import { UNITS_PER_ITC } from '../ids.ts';
import type { BodyCodecs } from './codec.ts';

export type ParametersBody = {
  readonly kind: 'parameter-vote';
  readonly parameter: ParameterName;
  /** u64. */
  readonly value: bigint;
};

/** Number on the wire, and the greatest value. The least is 0. */
export type ParameterName =
  | 'feePerByte'
  | 'rewardPerCheckpoint'
  | 'depositPerByte'
  | 'accountPrice'
  | 'burnShare';

export const PARAMETERS: {
  readonly [P in ParameterName]: { readonly code: number; readonly max: bigint };
} = {
  feePerByte: { code: 0, max: UNITS_PER_ITC },
  rewardPerCheckpoint: { code: 1, max: 1_000n * UNITS_PER_ITC },
  depositPerByte: { code: 2, max: UNITS_PER_ITC },
  accountPrice: { code: 3, max: 10n * UNITS_PER_ITC },
  burnShare: { code: 4, max: 10_000n },
};

export const PARAMETER_NAMES: readonly ParameterName[] = Object.keys(PARAMETERS) as ParameterName[];

export function readParameterName(reader: Reader): ParameterName {
  const code = reader.u8();
  const name = PARAMETER_NAMES.find((one) => PARAMETERS[one].code === code);
  return name ?? reader.refuse('decode.unknown-kind', `expected the number of a parameter, got ${code}`);
}

export const PARAMETERS_CODECS: BodyCodecs<ParametersBody> = {
  'parameter-vote': {
    write: (writer, body) => writer.u8(PARAMETERS[body.parameter].code).u64(body.value),
    read: (reader) => ({
      kind: 'parameter-vote',
      parameter: readParameterName(reader),
      value: reader.u64(),
    }),
  },
};
