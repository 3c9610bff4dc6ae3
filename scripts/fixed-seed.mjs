// Loaded before every test file: properties draw the same values in each run of the test command. `ITC_PROPERTY_SEED=7 npm test` draws others,
// `ITC_PROPERTY_SEED=random npm test` new ones each time.
import fc from 'fast-check';

const { ITC_PROPERTY_SEED: seed = '1' } = process.env;
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
