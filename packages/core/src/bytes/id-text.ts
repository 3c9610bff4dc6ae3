/** Ids and hashes as text: a short string takes a fifth of the memory of a typed array, and compares by content. */

/** The bytes of an id, one character each: maps compare strings by content, and bytes by identity. */
export function idText(bytes: Uint8Array): string {
  if (bytes.length !== 32) return Reflect.apply(String.fromCharCode, undefined, bytes);
  // Every record is looked up by this text. Spread out, the call costs a quarter of one with an array of arguments.
  const b = bytes as unknown as readonly number[] & Record<number, number>;
  // prettier-ignore
  return String.fromCharCode(
    b[0]!, b[1]!, b[2]!, b[3]!, b[4]!, b[5]!, b[6]!, b[7]!, b[8]!, b[9]!, b[10]!, b[11]!, b[12]!, b[13]!, b[14]!, b[15]!,
    b[16]!, b[17]!, b[18]!, b[19]!, b[20]!, b[21]!, b[22]!, b[23]!, b[24]!, b[25]!, b[26]!, b[27]!, b[28]!, b[29]!, b[30]!, b[31]!,
  );
}

export function idBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}
