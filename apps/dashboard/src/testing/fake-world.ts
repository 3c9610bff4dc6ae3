  readonly payloads = new Map<string, FakePayload>();
