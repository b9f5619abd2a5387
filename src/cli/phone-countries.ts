// Commands for the countries whose phone numbers are accepted.
import type { Command } from 'commander';
import { action, Refusal, requireDatabase } from './command';

const VERBS = [
  ['activate', true],
  ['deactivate', false],
] as const;

/** Adds the commands of this file to the program. */
export function addPhoneCountryCommands(program: Command): void {
  for (const [verb, activated] of VERBS) {
    program
      .command(`phone-countries:${verb}`)
      .description(`${verb}s countries: whether their phone numbers are accepted`)
      .argument('<code...>', 'ISO 3166 codes, or all')
      .action(
        action(async (codes: string[]) => {
          requireDatabase();
          const { PhoneCountry } = await import('../models/index.js');
          const wanted = codes.map((code) => code.toUpperCase());
          const all = wanted.includes('ALL');
          const known = new Set((await PhoneCountry.findAll({ attributes: ['code'], raw: true })).map(({ code }) => code));
          const unknown = all ? [] : wanted.filter((code) => !known.has(code));
          if (unknown.length > 0) throw new Refusal(`there is no country ${unknown.join(', ')}`);
          const where = all ? {} : { code: wanted };
          const [, countries] = await PhoneCountry.update({ activated }, { where, returning: ['code'] });
          const changed = countries.map(({ code }) => code).toSorted((a, b) => a.localeCompare(b));
          return { json: { codes: changed, activated }, text: `${changed.length} countries ${verb}d.` };
        }),
      );
  }
}
