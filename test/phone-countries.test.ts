// Countries whose numbers may be accepted: those that a later phone library has come to know are added.
import { getCountries } from 'libphonenumber-js/max';
import { migrate } from '../src/migrations';
import { Relay } from './helpers/relay';
import { eventually, startSystem, type System } from './helpers/system';

describe('countries that the phone library has come to know', () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ webs: 1, workers: 0 });
  });
  afterAll(() => system.stop());

  const countries = (): Promise<{ code: string; country_code: string; activated: boolean }[]> =>
    system.rows("SELECT code, country_code, activated FROM phone_countries WHERE code IN ('DE', 'FR', 'GB', 'ZZ') ORDER BY code");
  /** As an older library left them: one missing, one with another calling code, one that was since given up. */
  async function makeOld(): Promise<void> {
    await system.rows("DELETE FROM phone_countries WHERE code = 'DE'");
    await system.rows("UPDATE phone_countries SET activated = true WHERE code IN ('FR', 'GB')");
    await system.rows("UPDATE phone_countries SET country_code = '99' WHERE code = 'GB'");
    await system.rows("INSERT INTO phone_countries (code, country_code, activated) VALUES ('ZZ', '999', true) ON CONFLICT DO NOTHING");
  }
  const NEW = [
    { code: 'DE', country_code: '49', activated: false },
    { code: 'FR', country_code: '33', activated: true },
    { code: 'GB', country_code: '44', activated: true },
    { code: 'ZZ', country_code: '999', activated: true },
  ];

  test('are there, not activated, once a process has started; what was set stays', async () => {
    await makeOld();
    const [one, other] = await Promise.all([system.startWeb(), system.startWeb()]);
    expect(await countries()).toEqual(NEW);
    expect(`${one.output()}${other.output()}`.match(/"countries":\["DE","GB"\]/g)).toHaveLength(1);
    const before = await system.rows('SELECT xmin FROM phone_countries ORDER BY code');
    expect((await system.startWeb()).output()).not.toContain('"countries"');
    expect(await system.rows('SELECT xmin FROM phone_countries ORDER BY code')).toEqual(before);
  });

  test('are there after db:migrate, also where there is no migration to apply', async () => {
    await makeOld();
    expect(await migrate(system.environment['DATABASE_URL'] ?? '')).toEqual([]);
    expect(await countries()).toEqual(NEW);
    expect(await system.rows("SELECT count(*)::int AS n FROM phone_countries WHERE code <> 'ZZ'")).toEqual([{ n: getCountries().length }]);
  });

  test('come when PostgreSQL does, if it was away at the start', async () => {
    await makeOld();
    const url = system.environment['DATABASE_URL'] ?? '';
    const relay = await Relay.start(url);
    relay.leadTo(1);
    const web = await system.startWeb({ DATABASE_URL: relay.through(url) });
    expect(web.output()).not.toContain('"countries"');
    relay.leadTo(Number(new URL(url).port || 5432));
    await eventually(
      () => Promise.resolve(web.output()),
      (output) => output.includes('"countries":["DE","GB"]'),
      20,
    );
    expect(await countries()).toEqual(NEW);
    await web.end();
    await relay.stop();
  });

  test('that cannot be added keep nobody from starting', async () => {
    await system.rows('ALTER TABLE phone_countries RENAME TO other_countries');
    const web = await system.startWeb();
    await system.rows('ALTER TABLE other_countries RENAME TO phone_countries');
    expect(web.output().match(/new phone countries cannot be added/g)).toHaveLength(1);
  });
});
