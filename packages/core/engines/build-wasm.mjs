// Compiles the light client's engine to WebAssembly: the modules in the order of their imports, without those lines.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ENGINE = fileURLToPath(new URL('../src/light/engine/', import.meta.url));
const MODULES = [
  'layout',
  'codes',
  'states',
  'sha256',
  'tags',
  'sets',
  'paths',
  'believe',
  'items',
  'machine',
];

/** What `host.ts` is elsewhere: the check of a signature comes from outside, by places in memory. */
const HEAD = `
@external("host", "verify")
declare function host_verify(key: usize, message: usize, length: i32, signature: usize): bool;

function hostVerify(m: LightMachine, key: i32, message: i32, length: i32, signature: i32): bool {
  const base: usize = m.bytes.dataStart;
  return host_verify(base + key, base + message, length, base + signature);
}
`;

/** One machine, and a packet to feed it with. */
const TAIL = `
const MACHINE: LightMachine = new LightMachine();
const INPUT: Uint8Array = new Uint8Array(1536);
export function memoryAt(): usize { return MACHINE.bytes.dataStart; }
export function intsAt(): usize { return MACHINE.ints.dataStart; }
export function inputAt(): usize { return INPUT.dataStart; }
export function start(now: f64, trusting: f64): void { begin(MACHINE, now, trusting); }
export function feed(from: i32, to: i32): i32 { return push(MACHINE, INPUT, from, to); }
`;

/** The one source, as AssemblyScript takes it. Constants that several modules have are kept once. */
export function source() {
  const seen = new Set();
  const modules = MODULES.map((name) =>
    readFileSync(`${ENGINE}${name}.ts`, 'utf8')
      .replaceAll(/^import [\s\S]*?;\n/gm, '')
      .replaceAll(/^export /gm, '')
      .replaceAll(/^  readonly /gm, '  ')
      .replaceAll(/^const [A-Z0-9_]+: i32 = .*;\n/gm, (line) => {
        if (seen.has(line)) return '';
        seen.add(line);
        return line;
      }),
  );
  return [HEAD, ...modules, TAIL].join('\n');
}

/** The module's bytes. Throws with the compiler's words. */
export async function buildWasm() {
  const { default: asc } = await import('assemblyscript/asc');
  const files = new Map([['light.ts', source()]]);
  const flags = '--runtime stub -O3z --converge --noAssert --initialMemory 1 --maximumMemory 1 --use abort=';
  let said = '';
  const { error } = await asc.main(['light.ts', '--outFile', 'light.wasm', ...flags.split(' ')], {
    readFile: (name) => files.get(name) ?? null,
    writeFile: (name, bytes) => void files.set(name, bytes),
    listFiles: () => [],
    stderr: { write: (text) => void (said += text) },
  });
  if (error) throw new Error(`${error.message}\n${said}`);
  return files.get('light.wasm');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const out = process.argv[2];
  const bytes = await buildWasm();
  if (out !== undefined) writeFileSync(out, bytes);
  console.log(`${bytes.length} bytes${out === undefined ? '' : ` in ${out}`}`);
}
