/** `itc`: finds the command and hands over. */
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { COMMANDS } from './commands.ts';
import { defaultApi } from './devnet/layout.ts';
import { COMMON_HELP, meant, runCommand } from './terminal/command.ts';

const VERSION = '0.1.0';

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return `itc: the command line of IoT Chain

Usage: itc COMMAND [ARGUMENTS] [OPTIONS]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

${COMMON_HELP.replace('  --help, -h', '  --version          the version\n  --help, -h')}

itc COMMAND --help tells more about one of them. Exit codes: 0 success, 1 failure, 2 bad usage.`;
}

async function main(argv: readonly string[]): Promise<number> {
  // `itc help lamp` is asked as often as `itc lamp --help`.
  const [name, ...rest] = argv[0] === 'help' && argv.length > 1 ? [...argv.slice(1, 2), '--help'] : argv;
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
    const known = [...COMMANDS.map((one) => one.name), '--version', '--help'];
    process.stderr.write(
      `itc: there is no command ${name}${meant(name.replace(/^version$/, '--version'), known)}\n`,
    );
    process.stderr.write('  do: itc --help lists them\n');
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
