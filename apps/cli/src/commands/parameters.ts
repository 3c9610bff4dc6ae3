/** `itc parameters`: prices and shares in force, and votes of validators about them (spec STATE-21). */
import {
  isParameterName,
  PARAMETER_NAMES,
  parameterVote,
  type ParameterName,
} from '@itc/client/parameters.js';
import { formatItc } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { openKey } from '../keys.ts';
import { textOption, UsageError, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

/** What a value means: ITC by what, or a share of the fees. */
function inPeoplesUnits(name: ParameterName, value: bigint | number): string {
  const itc = `${formatItc(BigInt(value))} ITC`;
  switch (name) {
    case 'feePerByte':
      return `${itc} a byte of a transaction`;
    case 'rewardPerCheckpoint':
      return `${itc} to the validators together, every ${LIMITS.checkpointInterval} blocks`;
    case 'depositPerByte':
      return `${itc} a byte of a record, returned when it goes`;
    case 'accountPrice':
      return `${itc} for a new account`;
    case 'burnShare':
      return `${Number(value) / 100} % of the fees are burned`;
  }
}

export const parameters: Command = {
  name: 'parameters',
  help: `itc parameters [show]
itc parameters vote NAME VALUE --key NAME

show   what is in force for the next block, and the votes about it
vote   by the account of a validator in office; with a quorum of the weight the value is in force behind the next
       checkpoint height. VALUE is in base units (10^9 = 1 ITC), of burnShare in parts of 10 000.

NAME is one of ${PARAMETER_NAMES.join(', ')}.`,
  options: { key: { type: 'string' } },
  run: async (call) => {
    const [verb = 'show', name, text, ...rest] = call.arguments;
    if (verb === 'show' && name === undefined) {
      const { votes, ...values } = await openClient(call.api).parameters();
      const rows = PARAMETER_NAMES.map((one) => {
        const open = votes.find(({ parameter }) => parameter === one);
        const said = open?.votes.map(({ value }) => value).join(', ');
        const agreed = open?.agreed === undefined ? '' : `agreed: ${open.agreed}`;
        return [
          one,
          String(values[one]),
          inPeoplesUnits(one, values[one]),
          agreed || (said ? `votes: ${said}` : ''),
        ];
      });
      const plain = Object.fromEntries(PARAMETER_NAMES.map((one) => [one, String(values[one])]));
      call.output.result({ values: plain, votes }, table(rows));
      return 0;
    }
    const key = textOption(call, 'key');
    if (verb !== 'vote' || name === undefined || rest.length > 0 || key === undefined)
      throw new UsageError('expected: show, or vote NAME VALUE --key NAME');
    if (!isParameterName(name))
      throw new UsageError(`expected one of ${PARAMETER_NAMES.join(', ')}, got ${name}`);
    if (!/^\d{1,20}$/.test(text ?? '')) throw new UsageError('VALUE is a whole number of base units');
    const wallet = await Wallet.open(call.api, await openKey(call.dataDir, key));
    const sent = await wallet.send(parameterVote(name, BigInt(text as string)));
    call.output.result({ ok: true, ...sent, parameter: name, value: text as string }, [
      `voted for ${name} ${text as string}, final in block ${sent.height}`,
    ]);
    return 0;
  },
};
