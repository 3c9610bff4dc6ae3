/** A device's signer from a key of the tests. */
import type { KeyPair } from '@itc/core/testing/keys.js';
import type { DeviceSigner } from '../device-sdk/device-signer.ts';

export const signerOf = ({ key, address, sign }: KeyPair): DeviceSigner => ({
  publicKey: key,
  address,
  sign,
});
