import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { gzipSync } from 'node:zlib';
import { build, transform } from 'esbuild';
import * as vdaf from './index.ts';
import { kernelBytes } from './kernel/webassembly.ts';

const GZIPPED_BYTES_MAX = 25_000;

/** The package as a browser would get it, from the compiled front door. */
async function bundle(format: 'esm' | 'iife'): Promise<Uint8Array> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL('./index.js', import.meta.url))],
    bundle: true,
    minify: true,
    format,
    ...(format === 'iife' ? { globalName: 'vdaf' } : {}),
    platform: 'browser',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  });
  const [file] = result.outputFiles;
  assert.ok(file);
  return file.contents;
}

/** A whole count inside a bare context: returns the kernel in use and the result. */
const SCENARIO = `(() => {
  const prio3 = vdaf.prio3Count();
  const bytes = (n, at) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + at) & 255);
  const context = bytes(5, 1);
  const shares = [[], []];
  for (const [index, measurement] of [true, false, true].entries()) {
    const nonce = bytes(16, index);
    const report = prio3.shard({ context, measurement, nonce, rand: bytes(prio3.sizes.rand, index + 50) });
    const at = (id) => ({ nonce, publicShare: report.publicShare, inputShare: report.inputShares[id] });
    const task = { verifyKey: bytes(32, 9), context };
    const leader = vdaf.leaderInitialize(prio3, task, at(0)).value;
    const helper = vdaf.helperInitialize(prio3, task, at(1), leader.message).value;
    shares[0].push(vdaf.leaderFinish(prio3, leader.state, helper.message).value);
    shares[1].push(helper.outputShare);
  }
  const result = prio3.unshard(shares.map((list) => prio3.aggregate(list)));
  return vdaf.kernelInUse() + ' ' + result.value;
})()`;

test('VDAF-9.1: everything the package offers is at most 25 kB, minified and gzipped', async () => {
  const contents = await bundle('esm');
  const size = gzipSync(contents, { level: 9 }).length;
  assert.ok(size <= GZIPPED_BYTES_MAX, `${String(size)} bytes`);
});

test('VDAF-9.2: the bundle runs without Node or a browser, in WebAssembly where there is one and without it where not', async () => {
  const code = Buffer.from(await bundle('iife')).toString();
  for (const [prelude, kernel] of [
    ['', 'webassembly'],
    ['delete globalThis.WebAssembly;', 'plain'],
    // A content security policy makes the compilation throw.
    ['WebAssembly.Module = class { constructor() { throw new Error("forbidden"); } };', 'plain'],
  ] as const) {
    const context = vm.createContext(Object.create(null));
    assert.equal(
      vm.runInContext('typeof process + typeof require + typeof window', context),
      'undefined'.repeat(3),
    );
    assert.equal(vm.runInContext(`${prelude}${code};${SCENARIO}`, context), `${kernel} 2`);
  }
});

test('VDAF-9.3: the kernel is built by the source alone, is valid, and is the same every time', () => {
  const bytes = kernelBytes();
  const api = (globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } })
    .WebAssembly;
  assert.ok(api.validate(bytes));
  assert.deepEqual(kernelBytes(), bytes);
});

test('VDAF-9.4: the package depends on @noble/hashes only, and imports nothing of Node', async () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  assert.deepEqual(Object.keys(manifest.dependencies), ['@noble/hashes']);
  const result = await build({
    entryPoints: [fileURLToPath(new URL('./index.js', import.meta.url))],
    bundle: true,
    format: 'esm',
    packages: 'external',
    platform: 'neutral',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const outside = Object.values(result.metafile.outputs).flatMap((o) => o.imports.map((i) => i.path));
  assert.deepEqual([...new Set(outside)], ['@noble/hashes/sha3-addons.js']);
});

test('VDAF-9.5: the example of the README runs as it is printed', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(example !== undefined && example.trim().split('\n').length <= 12);
  const { code } = await transform(example, { loader: 'ts', format: 'cjs' });
  const printed: unknown[] = [];
  const scope = {
    exports: {},
    module: {},
    require: () => vdaf,
    console: { log: (line: unknown) => printed.push(line) },
    crypto,
    TextEncoder,
  };
  vm.runInNewContext(code, scope);
  assert.deepEqual(printed, [1n]);
});

const npm = spawnSync('npm', ['--version'], { encoding: 'utf8' });
const canPack = npm.status === 0 && spawnSync('tar', ['--version']).status === 0;

test(
  'VDAF-9.6: packed and installed alone, beside @noble/hashes only, the package runs in Node',
  { skip: canPack ? false : 'npm or tar is absent' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'vdaf-'));
    try {
      const root = fileURLToPath(new URL('..', import.meta.url));
      const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
      const [archive] = spawnSync('npm', pack, { cwd: root, encoding: 'utf8' }).stdout.trim().split('\n');
      assert.ok(archive);
      const scope = join(folder, 'node_modules/@itc');
      mkdirSync(scope, { recursive: true });
      assert.equal(spawnSync('tar', ['-xzf', join(folder, archive), '-C', scope]).status, 0);
      renameSync(join(scope, 'package'), join(scope, 'vdaf'));
      const hashes = fileURLToPath(new URL('.', import.meta.resolve('@noble/hashes/sha3-addons.js')));
      mkdirSync(join(folder, 'node_modules/@noble'));
      symlinkSync(hashes, join(folder, 'node_modules/@noble/hashes'));
      const files = readdirSync(scope, { recursive: true, encoding: 'utf8' });
      assert.deepEqual(
        files.filter((name) => /\.test\.|testing|tsbuildinfo/.test(name)),
        [],
      );
      const script = `import * as vdaf from '@itc/vdaf'; import '@itc/vdaf/noise/sampler.js'; console.log(${SCENARIO});`;
      writeFileSync(join(folder, 'run.mjs'), script);
      const run = spawnSync(process.execPath, [join(folder, 'run.mjs')], { encoding: 'utf8' });
      assert.equal(run.stdout.trim(), 'webassembly 2', run.stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
