/** Bounds of the peer connections. Only `helloBytesMax` and the version are part of the protocol; the rest is this node's own. */
export const NETWORK_LIMITS = {
  helloBytesMax: 2_048,
  listenBytesMax: 128,
  /** From accepting a connection until its HELLO is checked. */
  handshakeMs: 5_000,
  /** Connections that have not shown a key yet; one more pushes out the oldest. */
  handshakesMax: 64,
  /** Queued per peer and priority (urgent, normal, bulk); one message always fits into an empty queue. */
  outboxBytesMax: [4 << 20, 16 << 20, 32 << 20],
  /** Handed to the socket in one write. */
  writeBytesMax: 128 << 10,
  /** Read from a peer and not yet handled: beyond, its socket is not read until half of it is handled. */
  inboxBytesMax: 1 << 20,
  inboxMessagesMax: 8_192,
  /** Share of one peer in a round of the fair queue, and the work done before other events get a turn. */
  roundBytes: 64 << 10,
  turnMessagesMax: 2_048,
  turnBytesMax: 1 << 20,
  /** Sustained rate and burst of one peer; beyond, its socket is not read until the account is even. */
  peerBytesPerSecond: 128 << 20,
  peerBurstBytes: 64 << 20,
  pingMs: 2_000,
  silentMs: 10_000,
  /** A connection that a new one of the same peer calls into question has this long to answer. */
  probeMs: 1_000,
  redialMs: 200,
  redialMsMax: 5_000,
  /** Addresses in one message. */
  addressesMax: 16,
  /** Peers dialled at an address that they have stated, beside those of the configuration. */
  learnedMax: 128,
  /** How long an expelled peer is refused. */
  expelMs: 10_000,
} as const;
