import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FIELD128, FIELD64, decodeElements, encodeElements, inverse, rootOfUnity } from '../field.ts';
import type { Field } from '../field.ts';
import { Arena } from './kernel.ts';
import type { FieldKernel, Kernel } from './kernel.ts';
import { plainKernel } from './plain.ts';
import { webAssemblyKernel } from './webassembly.ts';

const compiled = webAssemblyKernel();
assert.ok(compiled);
const kernels: readonly Kernel[] = [compiled, plainKernel()];

const fieldOf = (kernel: Kernel, field: Field): FieldKernel =>
  field.bytes === 8 ? kernel.field64 : kernel.field128;

/** Elements near every boundary of the reductions, and uniform ones. */
const element = (field: Field): fc.Arbitrary<bigint> => {
  const { modulus: p } = field;
  const word = 1n << 64n;
  const edges = [
    0n,
    1n,
    2n,
    27n,
    28n,
    p - 1n,
    p - 2n,
    p >> 1n,
    0xffff_ffffn,
    1n << 32n,
    word - 1n,
    word,
    p - word,
  ];
  return fc.oneof(
    fc.constantFrom(...edges.filter((edge) => edge >= 0n && edge < p)),
    fc.bigInt({ min: 0n, max: p - 1n }),
    fc.bigInt({ min: 0n, max: 1n << 20n }).map((x) => p - 1n - x),
  );
};

/** Runs `body` on each kernel with its own arena and checks that both give the same elements. */
function agree(
  field: Field,
  body: (arena: Arena, kernel: FieldKernel) => readonly [number, number],
): bigint[] {
  const [first, second] = kernels.map((kernel) => {
    const arena = new Arena(kernel);
    const mark = arena.mark();
    const [pointer, length] = body(arena, fieldOf(kernel, field));
    const out = decodeElements(field, arena.read(pointer, length * field.bytes));
    arena.release(mark);
    return out;
  });
  assert.deepEqual(first, second);
  assert.ok(first);
  return first;
}

for (const field of [FIELD64, FIELD128]) {
  const { modulus: p, bytes: size } = field;
  const vector = (length: number): fc.Arbitrary<bigint[]> =>
    fc.array(element(field), { minLength: length, maxLength: length });

  test(`VDAF-1.1: ${field.name} addition, subtraction and multiplication agree with the integers modulo p`, () => {
    fc.assert(
      fc.property(vector(9), vector(9), (a, b) => {
        const run = (operation: 'add' | 'subtract' | 'multiply'): bigint[] =>
          agree(field, (arena, kernel) => {
            const [x, y] = [arena.place(encodeElements(field, a)), arena.place(encodeElements(field, b))];
            kernel[operation](x, x, y, 9);
            return [x, 9];
          });
        const expected = (f: (x: bigint, y: bigint) => bigint): bigint[] =>
          a.map((x, i) => ((f(x, b[i] ?? 0n) % p) + p) % p);
        assert.deepEqual(
          run('add'),
          expected((x, y) => x + y),
        );
        assert.deepEqual(
          run('subtract'),
          expected((x, y) => x - y),
        );
        assert.deepEqual(
          run('multiply'),
          expected((x, y) => x * y),
        );
      }),
      { numRuns: 300 },
    );
  });

  test(`VDAF-1.2: ${field.name} sums of products are reduced once, also when every product is the largest`, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.infiniteStream(element(field)),
        (length, step, stream) => {
          const take = (n: number): bigint[] => Array.from({ length: n }, () => stream.next().value);
          const [a, b] = [take(length * step), take(length)];
          const [sum] = agree(field, (arena, kernel) => {
            const [x, y] = [arena.place(encodeElements(field, a)), arena.place(encodeElements(field, b))];
            const out = arena.allocate(size);
            kernel.dot(out, x, step * size, y, size, length);
            return [out, 1];
          });
          assert.equal(
            sum,
            b.reduce((total, y, i) => (total + y * (a[i * step] ?? 0n)) % p, 0n),
          );
        },
      ),
      { numRuns: 200 },
    );
    const length = 70_000;
    const [most] = agree(field, (arena, kernel) => {
      const x = arena.place(encodeElements(field, [p - 1n]));
      const out = arena.allocate(size);
      kernel.dot(out, x, 0, x, 0, length);
      return [out, 1];
    });
    assert.equal(most, BigInt(length));
  });

  test(`VDAF-1.3: ${field.name} transforms out and in are inverse up to the length, and evaluate at the roots`, () => {
    for (const length of [1, 2, 4, 8, 32]) {
      const root = rootOfUnity(field, length);
      const powers = (base: bigint): bigint[] => {
        const out: bigint[] = [];
        for (let i = 0, x = 1n; i < length; i += 1, x = (x * base) % p) out.push(x);
        return out;
      };
      const values = powers(12_345_678_901_234_567n).map((x) => (x * x + 5n) % p);
      const coefficients = agree(field, (arena, kernel) => {
        const v = arena.place(encodeElements(field, values));
        kernel.transformOut(v, length, arena.place(encodeElements(field, powers(inverse(root, field)))));
        return [v, length];
      });
      const back = agree(field, (arena, kernel) => {
        const v = arena.place(encodeElements(field, coefficients));
        kernel.transformIn(v, length, arena.place(encodeElements(field, powers(root))));
        return [v, length];
      });
      assert.deepEqual(
        back,
        values.map((x) => (x * BigInt(length)) % p),
      );
      // Bit-reversed coefficients, evaluated directly.
      const bits = Math.log2(length);
      const reversed = (i: number): number => {
        let out = 0;
        for (let b = 0; b < bits; b += 1) out |= ((i >> b) & 1) << (bits - 1 - b);
        return out;
      };
      powers(root).forEach((x, k) => {
        let sum = 0n;
        for (let i = length - 1; i >= 0; i -= 1) sum = (sum * x + (coefficients[reversed(i)] ?? 0n)) % p;
        assert.equal(sum, ((values[k] ?? 0n) * BigInt(length)) % p);
      });
    }
  });

  test(`VDAF-1.4: ${field.name} an element at or above the modulus is found wherever it stands`, () => {
    for (const bad of [p, p + 1n, (1n << BigInt(8 * size)) - 1n]) {
      for (const place of [0, 1, 6, 7]) {
        const encoded = encodeElements(
          field,
          Array.from({ length: 7 }, () => p - 1n),
        );
        if (place < 7) {
          for (let i = 0; i < size; i += 1)
            encoded[place * size + i] = Number((bad >> BigInt(8 * i)) & 0xffn);
        }
        for (const kernel of kernels) {
          const arena = new Arena(kernel);
          const mark = arena.mark();
          assert.equal(fieldOf(kernel, field).firstOverflow(arena.place(encoded), 7), place);
          arena.release(mark);
        }
      }
    }
  });

  test(`VDAF-1.5: ${field.name} accumulated sums reduce to the sum, and report an element that overflows`, () => {
    fc.assert(
      fc.property(fc.array(vector(3), { maxLength: 12 }), (rows) => {
        const sums = agree(field, (arena, kernel) => {
          const wide = arena.allocate(3 * (size + 8));
          for (const row of rows)
            assert.equal(kernel.accumulate(wide, arena.place(encodeElements(field, row)), 3), 0);
          const out = arena.allocate(3 * size);
          kernel.reduce(out, wide, 3);
          return [out, 3];
        });
        assert.deepEqual(
          sums,
          [0, 1, 2].map((i) => rows.reduce((sum, row) => (sum + (row[i] ?? 0n)) % p, 0n)),
        );
      }),
      { numRuns: 100 },
    );
    for (const kernel of kernels) {
      const arena = new Arena(kernel);
      const mark = arena.mark();
      const [wide, bad] = [arena.allocate(2 * (size + 8)), arena.allocate(2 * size)];
      arena.write(bad, new Uint8Array(size).fill(0xff));
      assert.notEqual(fieldOf(kernel, field).accumulate(wide, bad, 2), 0);
      arena.release(mark);
    }
  });

  test(`VDAF-1.5: ${field.name} scaling, range wires and the Lagrange basis agree between both kernels and their definitions`, () => {
    fc.assert(
      fc.property(vector(5), element(field), element(field), (bits, r, share) => {
        const wires = agree(field, (arena, kernel) => {
          const out = arena.allocate(20 * size);
          const [b, rr, s] = [bits, [r], [share]].map((x) => arena.place(encodeElements(field, x))) as [
            number,
            number,
            number,
          ];
          kernel.rangeWires(out + size, 2 * size, b, 5, rr, s);
          return [out, 20];
        });
        bits.forEach((bit, j) => {
          let power = 1n;
          for (let i = 0; i <= j; i += 1) power = (power * r) % p;
          assert.equal(wires[4 * j + 1], (power * bit) % p);
          assert.equal(wires[4 * j + 3], (bit + p - share) % p);
        });
        const scaled = agree(field, (arena, kernel) => {
          const x = arena.place(encodeElements(field, bits));
          kernel.scale(x, x, arena.place(encodeElements(field, [r])), 5);
          return [x, 5];
        });
        assert.deepEqual(
          scaled,
          bits.map((x) => (x * r) % p),
        );
        const root = rootOfUnity(field, 4);
        const nodes = [1n, root, (root * root) % p, (root * root * root) % p];
        const basis = agree(field, (arena, kernel) => {
          const [n, t, i] = [nodes, [r], [inverse(4n, field)]].map((x) =>
            arena.place(encodeElements(field, x)),
          ) as [number, number, number];
          const out = arena.allocate(4 * size);
          kernel.lagrange(out, n, 4, t, i, arena.allocate(4 * size));
          return [out, 4];
        });
        nodes.forEach((x, i) => {
          let [top, bottom] = [1n, 1n];
          nodes.forEach((y, j) => {
            if (j === i) return;
            top = (top * (r + p - y)) % p;
            bottom = (bottom * (x + p - y)) % p;
          });
          assert.equal(basis[i], (top * inverse(bottom, field)) % p);
        });
      }),
      { numRuns: 60 },
    );
  });
}

test('VDAF-1.6: TurboSHAKE128 of the kernel equals that of @noble/hashes at every length around the block size', () => {
  for (const length of [0, 1, 7, 166, 167, 168, 169, 335, 336, 337, 1000]) {
    const message = Uint8Array.from({ length }, (_, i) => (i * 131 + length) & 0xff);
    const [a, b] = kernels.map((kernel) => {
      const arena = new Arena(kernel);
      const mark = arena.mark();
      const input = arena.allocate(length + 168);
      arena.write(input, message);
      const out = arena.allocate(504);
      kernel.turboShake(input, length, out, 500);
      const bytes = arena.read(out, 500);
      arena.release(mark);
      return bytes;
    });
    assert.deepEqual(a, b, `length ${String(length)}`);
  }
});

test('VDAF-1.7: an arena grows past its first page, and what is released is erased', () => {
  for (const kernel of kernels) {
    const arena = new Arena(kernel);
    const mark = arena.mark();
    const first = arena.place(Uint8Array.of(1, 2, 3));
    const large = arena.allocate(300_000);
    arena.write(large + 299_990, Uint8Array.of(9));
    assert.deepEqual([...arena.read(first, 3)], [1, 2, 3]);
    arena.release(mark);
    assert.ok(arena.read(mark, 300_016).every((byte) => byte === 0));
    assert.throws(() => arena.allocate(2 ** 31 - 64), RangeError);
  }
});
