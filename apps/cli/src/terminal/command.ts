/** The frame every command stands in: options, help, errors and exit codes. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { fileTrouble, nextStep, readable } from './advice.ts';
import { createOutput, type Output } from './output.ts';

export type OptionTable = NonNullable<ParseArgsConfig['options']>;

export interface Command {
  readonly name: string;
  /** Shown by `--help`: synopsis, what it does, examples. */
  readonly help: string;
  readonly options?: OptionTable;
  /** It takes no words besides its options. */
  readonly wordless?: true;
  run(call: Call): Promise<number>;
}

export interface Call {
  readonly arguments: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly output: Output;
  /** Where the chain and keys of this machine live. */
  readonly dataDir: string;
  /** Base URL of the HTTP API. */
  readonly api: string;
}

/** Thrown for a call that cannot be right: exit code 2 and a hint to `--help`. */
export class UsageError extends Error {}

/** Thrown where all is done that was asked for, though the command itself would go on. */
export class Finished extends Error {}

const COMMON = {
  json: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
  help: { type: 'boolean', short: 'h' },
  'data-dir': { type: 'string' },
  api: { type: 'string' },
} as const satisfies OptionTable;

export const COMMON_HELP = `Common options:
  --json             print one JSON object on standard output
  --quiet, -q        no progress and remarks on standard error
  --data-dir DIR     chain and keys of this machine (default .itc, or ITC_DATA_DIR)
  --api URL          HTTP API (default: the devnet of the data folder, or http://127.0.0.1:8080, or ITC_API)
  --help, -h         this text
  ITC_SPONSOR=ID     in the environment: a sponsorship that pays the fees of what a command sends`;

/** Runs a command; returns the exit code: 0 only on success, 2 for bad usage, 1 for any other failure. */
export async function runCommand(
  command: Command,
  argv: readonly string[],
  defaultApi: (dataDir: string) => string,
): Promise<number> {
  let json = argv.includes('--json');
  try {
    const parsed = parse(command, argv);
    const { values } = parsed;
    if (values['help'] === true) {
      process.stdout.write(`${command.help.trim()}\n\n${COMMON_HELP}\n`);
      return 0;
    }
    json = values['json'] === true;
    if (command.wordless === true && parsed.positionals.length > 0)
      throw new UsageError(`takes options only, got ${parsed.positionals.join(' ')}`);
    const dataDir = text(values['data-dir']) ?? process.env['ITC_DATA_DIR'] ?? '.itc';
    return await command.run({
      arguments: parsed.positionals,
      options: values,
      output: createOutput({ json, quiet: values['quiet'] === true }),
      dataDir,
      api: (text(values['api']) ?? process.env['ITC_API'] ?? defaultApi(dataDir)).replace(/\/+$/, ''),
    });
  } catch (error) {
    if (error instanceof Finished) return 0;
    return await report(command.name, error, json);
  }
}

function parse(
  command: Command,
  argv: readonly string[],
): { values: Record<string, string | boolean | undefined>; positionals: string[] } {
  try {
    const parsed = parseArgs({
      args: [...argv],
      options: { ...COMMON, ...command.options },
      allowPositionals: true,
      strict: true,
    });
    return {
      values: parsed.values as Record<string, string | boolean | undefined>,
      positionals: parsed.positionals,
    };
  } catch (error) {
    throw new UsageError(optionFlaw(error as Error & { code?: string }, command));
  }
}

/** What parseArgs found, in fewer words than its own, and with the option that may have been meant. */
function optionFlaw({ code, message }: Error & { code?: string }, command: Command): string {
  const option = /'(-[^' ]*)/.exec(message)?.[1] ?? '';
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    if (/^-\d/.test(option)) return `${option} is read as an option; nothing here takes a number below 0`;
    const known = Object.keys({ ...COMMON, ...command.options }).map((name) => `--${name}`);
    return `there is no option ${option}${meant(option, known)}`;
  }
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' && message.includes('ambiguous'))
    return `${option} takes a value; one that begins with a hyphen is written ${option}=VALUE`;
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' && message.includes('does not take'))
    return `${option} takes no value`;
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE') return `${option} takes a value`;
  return message;
}

/** `; did you mean …?`, when something is close to what was written. */
export function meant(written: string, known: readonly string[]): string {
  const near = known
    .map((name) => ({ name, steps: editSteps(written, name) }))
    .filter(({ name, steps }) => steps <= (name.replace(/^-+/, '').length > 4 ? 2 : 1))
    .sort((a, b) => a.steps - b.steps)[0];
  return near === undefined ? '' : `; did you mean ${near.name}?`;
}

/** Letters to put in, take out or change (Levenshtein). */
function editSteps(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

async function report(name: string, error: unknown, json: boolean): Promise<number> {
  const usage = error instanceof UsageError;
  const ofFile = fileTrouble(error);
  const other = ofFile === undefined ? 'internal' : 'storage.failed';
  const code = usage ? 'usage' : error instanceof LedgerError ? error.code : other;
  const message = ofFile ?? (error instanceof Error ? error.message : String(error));
  const advice = usage ? `itc ${name} --help tells how` : await nextStep(code, message);
  if (json) {
    const todo = advice === undefined ? {} : { todo: advice };
    process.stdout.write(`${JSON.stringify({ ok: false, code, message, ...todo })}\n`);
  }
  process.stderr.write(`itc ${name}: ${readable(code, message)}\n`);
  if (advice !== undefined) process.stderr.write(`  do: ${advice}\n`);
  if (code === 'internal' && error instanceof Error && process.env['ITC_TRACE'] !== undefined)
    process.stderr.write(`${error.stack}\n`);
  return usage ? 2 : 1;
}

function text(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A whole number option within bounds, or its default. */
export function integerOption(
  call: Call,
  name: string,
  fallback: number,
  bounds: { readonly min: number; readonly max: number },
): number {
  const given = call.options[name];
  if (given === undefined) return fallback;
  const value = Number(given);
  if (typeof given !== 'string' || !Number.isInteger(value) || value < bounds.min || value > bounds.max) {
    throw new UsageError(
      `--${name} takes a whole number from ${bounds.min} to ${bounds.max}, got ${String(given)}`,
    );
  }
  return value;
}

export function textOption(call: Call, name: string): string | undefined {
  return text(call.options[name]);
}

/** One of the things a command does, with the words behind its name. */
export type Verb = (call: Call, words: readonly string[]) => Promise<number>;

/** Words that nobody would read are a mistake of who wrote them. */
export function noMore(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`expected nothing more, got ${words.join(' ')}`);
}

/** For commands whose first word says what to do. */
export function runVerb(call: Call, verbs: Readonly<Record<string, Verb>>): Promise<number> {
  const [word, ...words] = call.arguments;
  const verb = word === undefined || !Object.hasOwn(verbs, word) ? undefined : verbs[word];
  if (verb === undefined) throw new UsageError(`expected one of: ${Object.keys(verbs).join(', ')}`);
  return verb(call, words);
}
