/** `itc`: finds the command and hands over. */
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { layoutOf, readDevnet } from './devnet/layout.ts';
import { COMMON_HELP, runCommand, type Command } from './terminal/command.ts';
import { devnet } from './commands/devnet.ts';
import { device } from './commands/device.ts';
import { grant, revoke } from './commands/grant.ts';
import { key } from './commands/key.ts';
import { lamp } from './commands/lamp.ts';
import { node } from './commands/node.ts';
import { proof } from './commands/proof.ts';
import { replay } from './commands/replay.ts';
import { status } from './commands/status.ts';
import { verify } from './commands/verify.ts';

const COMMANDS: readonly Command[] = [
  devnet,
  status,
  key,
  device,
  grant,
  revoke,
  lamp,
  replay,
  proof,
  verify,
  node,
];
const VERSION = '0.1.0';

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return `itc: the command line of IoT Chain

Usage: itc COMMAND [ARGUMENTS] [OPTIONS]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

${COMMON_HELP}
  --version          the version

itc COMMAND --help tells more about one of them. Exit codes: 0 success, 1 failure, 2 bad usage.`;
}

function defaultApi(dataDir: string): string {
  try {
    return readDevnet(layoutOf(dataDir))?.api ?? 'http://127.0.0.1:8080';
  } catch {
    return 'http://127.0.0.1:8080';
  }
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(`${overview()}\n`);
    return name === undefined ? 2 : 0;
  }
  if (name === '--version') {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    process.stderr.write(`itc: there is no command ${name}\nTry: itc --help\n`);
    return 2;
  }
  installNativeCrypto();
  return runCommand(command, rest, defaultApi);
}

process.exitCode = await main(process.argv.slice(2));
