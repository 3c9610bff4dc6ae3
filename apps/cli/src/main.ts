/** `itc`: finds the command and hands over. */
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { COMMANDS } from './commands.ts';
import { defaultApi } from './devnet/layout.ts';
import { COMMON_HELP, runCommand } from './terminal/command.ts';

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
  const entry = COMMANDS.find((candidate) => candidate.name === name);
  if (entry === undefined) {
    process.stderr.write(`itc: there is no command ${name}\nTry: itc --help\n`);
    return 2;
  }
  installNativeCrypto();
  return runCommand(await entry.load(), rest, defaultApi);
}

// `itc … | head`: whoever reads has seen enough. That is no failure, and nothing more can be said.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await main(process.argv.slice(2));
