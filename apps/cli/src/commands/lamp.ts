/** `itc lamp`: switches a lamp. The lamp itself decides whether it obeys, and its signed answer is what is shown. */
import { openKey } from '../keys.ts';
import { parseOrder, tell, untilFinal } from '../lamp-words.ts';
import { integerOption, textOption, type Call, type Command } from '../terminal/command.ts';
import { Wallet } from '../wallet.ts';
import { LAMP_SHARED, LAMP_SHARED_HELP, LAMP_SHARED_OPTIONS } from './lamp-shared.ts';

export const lamp: Command = {
  name: 'lamp',
  help: `itc lamp on DEVICE
itc lamp off DEVICE
itc lamp level DEVICE LEVEL      0 to 254, or as 60%
itc lamp colour DEVICE KELVIN    colour temperature, 1000 to 20000
${LAMP_SHARED_HELP}

Signs a command with your key and shows what the lamp answers. The lamp checks signature, ownership or grant, expiry and
replay itself. DEVICE is an address or the name the device has at the gateway.

Where several keys act for an account together, one holder drafts the command, the others sign the file, offline and in any
order, and the one who drafted it signs last and sends. The lamp weighs the keys itself.

Options:
  --key NAME         key to sign with (default owner); of send: the key that drafted, which is found by itself
  --timeout MS       how long to wait for the lamp (default 5000)
  --final            wait until the command is final on the main chain, too
  --account ACCOUNT  of draft: whose keys command, where that is not the account of the key
  --valid DURATION   of draft: how long the command is good for (default 1h, at most 24h)

Examples:
  itc lamp level lamp-1 120 --key guest
  itc lamp draft on.json on lamp-1 --account eve --key alice
  itc lamp sign on.json --key bob && itc lamp send on.json`,
  options: {
    key: { type: 'string' },
    timeout: { type: 'string' },
    final: { type: 'boolean' },
    ...LAMP_SHARED_OPTIONS,
  },
  run: (call) => {
    const [verb, ...words] = call.arguments;
    const shared = LAMP_SHARED.get(verb ?? '');
    return shared === undefined ? order(call) : shared(call, words);
  },
};

async function order(call: Call): Promise<number> {
  const { device, action } = parseOrder(call.arguments);
  const timeoutMs = integerOption(call, 'timeout', 5_000, { min: 1, max: 600_000 });
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
  const address = await wallet.device(device);
  const started = performance.now();
  let status = await wallet.command(address, action, timeoutMs);
  const roundTripMs = performance.now() - started;
  if (call.options['final'] === true) status = await untilFinal(wallet.client, status, timeoutMs);
  return tell(call, device, status, roundTripMs);
}
