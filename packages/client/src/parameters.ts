/** What validators may change of a chain (spec STATE-21). */
import { PARAMETER_NAMES, PARAMETERS, type ParameterName } from '@itc/core/ledger/bodies/parameters.js';
import type { Body } from '@itc/core/ledger/body.js';

export { PARAMETER_NAMES, PARAMETERS, type ParameterName };

/** By the account of a validator in office. Base units, or parts of 10 000 for `burnShare`. */
export function parameterVote(parameter: ParameterName, value: bigint): Body {
  return { kind: 'parameter-vote', parameter, value };
}

export function isParameterName(text: string): text is ParameterName {
  return Object.hasOwn(PARAMETERS, text);
}
