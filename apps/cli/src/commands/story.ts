/** `itc story`: a whole life played on a devnet, each step with what was expected and what happened. */
import { openKey } from '../keys.ts';
import { playLampStory } from '../story/lamp-story.ts';
import { Difference, Script } from '../story/script.ts';
import { Stage } from '../story/stage.ts';
import { integerOption, textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatDuration } from '../terminal/output.ts';
import { Wallet } from '../wallet.ts';

const DEVICES = 1_000_000;

export const story: Command = {
  name: 'story',
  help: `itc story lamp [--start] [--full]

The life of one lamp of a million, on the devnet of the data folder: enrolled by its maker, claimed with the code from its
QR, switched, shared with guests, sold, stolen, recovered, rented, retired; with all fees paid by sponsors. The lamp is a
process of its own that checks every command itself. Each step is printed with what happened; at the first thing that is not
as expected it says what was, and ends with 1. What is made by it stays on that devnet.

Options:
  --start            with a devnet of its own in a temporary folder, which is gone afterwards
  --validators N     of that devnet (default 4)
  --full             the rental really takes three minutes, the guest stays for one, and every one of the million devices
                     has keys of its own (some six minutes; without it two at most)
  --devices N        of the batch (default 1000000)
  --key NAME         who gives maker, buyer and renter the ITC they begin with (default owner)

docs/guide/lamp-story.md explains the steps and the code.`,
  options: {
    start: { type: 'boolean' },
    validators: { type: 'string' },
    full: { type: 'boolean' },
    devices: { type: 'string' },
    key: { type: 'string' },
  },
  run: async (call) => {
    const [name, ...rest] = call.arguments;
    if (name !== 'lamp' || rest.length > 0) throw new UsageError('expected: lamp');
    const devices = integerOption(call, 'devices', DEVICES, { min: 2, max: 4_000_000 });
    let opened: Stage | undefined;
    const stopping = new AbortController();
    // Whoever interrupts the story leaves nothing running behind it.
    const stop = (): void => {
      stopping.abort();
      void opened?.[Symbol.asyncDispose]().then(() => process.exit(1));
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
    await using stage = await stageOf(call, stopping.signal);
    opened = stage;
    return await play(call, stage, devices);
  },
};

function stageOf(call: Call, signal: AbortSignal): Promise<Stage> | Stage {
  if (call.options['start'] !== true) return Stage.open(call.dataDir);
  const validators = integerOption(call, 'validators', 4, { min: 1, max: 16 });
  call.output.note('Starting a devnet of its own …');
  return Stage.start(['--gateways', '1', '--validators', `${validators}`], signal);
}

async function play(call: Call, stage: Stage, devices: number): Promise<number> {
  const { output } = call;
  const purse = await Wallet.open(
    stage.gateway,
    await openKey(stage.layout.root, textOption(call, 'key') ?? 'owner'),
  );
  const tell = (line: string): void => {
    if (!output.json) process.stdout.write(`${line}\n`);
  };
  const script = new Script(tell);
  const began = performance.now();
  let difference: string | undefined;
  try {
    await playLampStory({
      stage,
      script,
      purse,
      devices,
      full: call.options['full'] === true,
      progress: (total) => output.progress('devices', total),
    });
  } catch (error) {
    if (!(error instanceof Difference)) throw error;
    difference = error.message;
  }
  const { steps } = script;
  const ms = Math.round(performance.now() - began);
  const checks = steps.reduce((sum, step) => sum + step.checks.length, 0);
  const ok = difference === undefined;
  output.result({ ok, steps, ms, ...(difference !== undefined && { difference }) }, [
    ok
      ? `as expected: ${steps.length} steps, ${checks} checks, ${formatDuration(ms)}`
      : `NOT as expected, ${difference}`,
  ]);
  return ok ? 0 : 1;
}
