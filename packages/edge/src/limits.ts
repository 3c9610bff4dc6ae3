/** Bounds of the gateway and of the device SDK (spec EDGE-8). Those of the protocol itself are in `ledger/limits.ts`. */
export const EDGE_LIMITS = {
  /** SenML packs (RFC 8428). */
  senmlRecordsMax: 256,
  senmlNameBytesMax: 256,
  senmlUnitBytesMax: 32,
  senmlTextBytesMax: 4096,
  /** A pack is an array of flat objects; anything deeper than an extension's small structure is refused. */
  senmlDepthMax: 6,

  /** MQTT: one packet with everything in it. A payload of the ledger and its topic and properties fit. */
  packetBytesMax: 65_536,
  /** Before CONNECT is accepted nobody needs more than keys and a signature. */
  connectBytesMax: 4_096,
  connectionsMax: 4_096,
  /** Connections that have not logged in yet. */
  strangersMax: 256,
  connectTimeoutMs: 10_000,
  keepAliveSecondsMax: 600,
  sessionsMax: 8_192,
  sessionExpirySecondsMax: 86_400,
  subscriptionsPerSessionMax: 32,
  topicBytesMax: 512,
  topicLevelsMax: 16,
  /** QoS 1 and 2 publishes a client may have unanswered. Also how many of any QoS are in work per connection. */
  receiveMaximum: 128,
  topicAliasMax: 16,
  userPropertiesMax: 16,
  /** Outbound: what one session may have waiting. */
  sessionQueueMax: 1_000,
  sessionQueueBytesMax: 4_194_304,
  /** Unanswered QoS 1 and 2 messages towards a client that states no receive maximum. */
  outboundInFlightMax: 64,
  /** A socket that does not drain: QoS 0 is dropped above this. */
  socketBytesMax: 1_048_576,
  retainedMax: 10_000,
  willsMax: 4_096,
  /** Per connection, with a burst of twice that: reading pauses until there is room again. */
  bytesPerSecondMax: 8_388_608,

  /** Logins. */
  /** Used challenges remembered until they expire; unused ones cost nothing. */
  challengesMax: 8_192,
  challengeMs: 60_000,
  loginsAtOnceMax: 64,
  /** scrypt takes memory and time on purpose: few at a time. */
  scryptAtOnceMax: 4,
  /** At 40 ms each, the last of them waits below a second. */
  scryptWaitingMax: 64,
  credentialBytesMin: 12,
  credentialBytesMax: 128,

  /** Gateway. */
  deviceNameBytesMax: 64,
  devicesMax: 100_000,
  /** Owners of one device whose readings are told apart; those of earlier ones are shown to nobody. */
  ownersKeptMax: 64,
  enrolmentsMax: 10_000,
  /** Names of readings remembered per device for "latest". */
  latestNamesMax: 64,
  ingestAtOnceMax: 8_192,
  /** Payloads stored and not final yet; above it publishing is refused until the subnet catches up. */
  openPayloadsMax: 200_000,
  offerRetryMs: 250,
  offerRetryBatch: 2_000,
  verifyBatchMax: 256,
  duplicateMemory: 8_192,
  lanesCachedMax: 20_000,
  /** Devices whose rate and faults are remembered; one that is forgotten begins with a share anew. */
  tollDevicesMax: 100_000,
  readingsAskedMax: 1_000,
  seriesPointsMax: 2_000,
  /** Payloads one question may decode. */
  scanPayloadsMax: 4_096,

  /** Commands. */
  commandsOpenMax: 10_000,
  commandsPerDeviceQueuedMax: 32,
  commandsKeptMax: 10_000,
  /** A command may wait for its device at most this long, whatever it says itself. */
  commandWaitMsMax: 86_400_000,
  /** Anybody may write to a lamp, and the lamp refuses; this is the rate per device, strangers and owner apart. */
  commandsPerSecondOwner: 50,
  commandsPerSecondStrangers: 5,

  /** A device that another gateway brings readings of is online for so long after the last: three of MQTT's usual half minutes. */
  elsewhereMs: 90_000,

  /** Devices whose last words about a rental are kept. */
  rentalDevicesMax: 4_096,
  /** Releases of firmware whose attestations are kept in memory. */
  releasesAttestedMax: 64,

  /** Vault. */
  commitEntriesMax: 4_096,
  vaultBytesDefault: 8_589_934_592,
  retentionStepMax: 8_192,

  /** Device SDK. */
  spoolEntriesMax: 10_000,
  spoolBytesMax: 16_777_216,
  deviceInFlightMax: 32,
  reconnectMsMin: 250,
  reconnectMsMax: 30_000,
  lanesPerLampMax: 256,
} as const;
