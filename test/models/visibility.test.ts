// Whose rows a query may touch: a confined model answers nobody who does not say on whose behalf it asks.
import type { Model, ModelStatic } from 'sequelize';
import { loadModels, type Models } from '../helpers/models';
import { startSystem, type System } from '../helpers/system';

const OTHER = 'other.example.org';

let system: System;
let models: Models['models'];
let visibility: Models['visibility'];
let close: Models['close'];
let own: number;
let others: number;

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  ({ models, visibility, close } = await loadModels(system));
  await system.space(OTHER);
  ({ id: own } = await system.account('own', { domain: OTHER }));
  ({ id: others } = await system.account('theirs'));
});
afterAll(async () => {
  await close();
  await system.stop();
});

const confinedModels = ['Account', 'AccountAction', 'AccountDictionaryEntry', 'ContactsList', 'VcardStorage'] as const;

describe.each(confinedModels)('%s', (name) => {
  const refusal = `${name} is queried without a scope`;

  test('refuses finders, counts, updates and deletions without a scope', async () => {
    const model = models[name] as ModelStatic<Model>;
    await expect(model.findAll()).rejects.toThrow(refusal);
    await expect(model.findOne({ where: { id: own } })).rejects.toThrow(refusal);
    await expect(model.findByPk(own)).rejects.toThrow(refusal);
    await expect(model.count()).rejects.toThrow(refusal);
    await expect(model.update({ updated_at: new Date() }, { where: { id: own } })).rejects.toThrow(refusal);
    await expect(model.destroy({ where: { id: own } })).rejects.toThrow(refusal);
    await expect(model.max('id')).rejects.toThrow(refusal);
    await expect(model.increment('id', { where: { id: own } })).rejects.toThrow(refusal);
    await expect(model.decrement('id', { where: { id: own } })).rejects.toThrow(refusal);
    await expect(model.findAndCountAll()).rejects.toThrow(refusal);
    await expect(model.truncate()).rejects.toThrow(refusal);
    await expect(model.unscoped().findAll()).rejects.toThrow(refusal);
    const { SYSTEM, visibleTo } = visibility;
    await expect(model.scope(visibleTo(SYSTEM)).scope().findAll()).rejects.toThrow(refusal);
    expect(await system.rows('SELECT 1 FROM accounts')).toHaveLength(2);
  });

  test('no option of a call opens it', async () => {
    const model = models[name] as ModelStatic<Model>;
    const options = { where: { id: own }, hooks: false, confined: true };
    await expect(model.findAll(options)).rejects.toThrow(refusal);
    await expect(model.count(options)).rejects.toThrow(refusal);
    await expect(model.update({ updated_at: new Date() }, options)).rejects.toThrow(refusal);
    await expect(model.destroy(options)).rejects.toThrow(refusal);
  });

  test('refuses instances that no scope gave', async () => {
    const model = models[name] as ModelStatic<Model>;
    const built = model.build({ id: own }, { isNewRecord: false });
    await expect(built.reload()).rejects.toThrow(refusal);
    await expect(built.update({ updated_at: new Date() })).rejects.toThrow(refusal);
    await expect(built.destroy()).rejects.toThrow(refusal);
  });

  test('refuses what touches rows whatever the scope', async () => {
    const { SYSTEM, visibleTo } = visibility;
    const scoped = (models[name] as ModelStatic<Model>).scope(visibleTo(SYSTEM));
    await expect(scoped.truncate()).rejects.toThrow(`truncate of ${name}`);
    await expect(scoped.upsert({ id: others })).rejects.toThrow(`upsert of ${name}`);
    await expect(scoped.bulkCreate([{ id: others }], { updateOnDuplicate: ['updated_at'] })).rejects.toThrow(`bulkCreate of ${name}`);
  });

  test('answers with a scope', async () => {
    const { SYSTEM, visibleTo } = visibility;
    const model = models[name] as ModelStatic<Model>;
    expect(await model.scope(visibleTo(SYSTEM)).count()).toBe(name === 'Account' ? 2 : 0);
    expect(await model.scope(visibleTo(SYSTEM)).max('id')).toBe(name === 'Account' ? Math.max(own, others) : null);
    expect(await model.scope(visibleTo({ domain: OTHER, super_admin: false })).findAll()).toHaveLength(name === 'Account' ? 1 : 0);
  });
});

test('an admin reads, changes and deletes rows of the own Space alone, a super admin those of all', async () => {
  const { SYSTEM, visibleTo } = visibility;
  const { Account, AccountAction } = models;
  const admin = { domain: OTHER, super_admin: false };
  await AccountAction.bulkCreate([own, others].map((account_id) => ({ account_id, key: 'door', code: '1' })));
  expect(await Account.scope(visibleTo(admin)).findByPk(others)).toBeNull();
  expect((await Account.scope(visibleTo(admin)).findByPk(own))?.username).toBe('own');
  expect(await Account.scope(visibleTo(admin)).update({ blocked: true }, { where: { id: [own, others] } })).toEqual([1]);
  expect(await AccountAction.scope(visibleTo(admin)).destroy({ where: { key: 'door' } })).toBe(1);
  expect(await AccountAction.scope(visibleTo(SYSTEM)).findAll({ raw: true })).toEqual([
    expect.objectContaining({ account_id: others, key: 'door' }),
  ]);
  expect(await Account.scope(visibleTo({ ...admin, super_admin: true })).count()).toBe(2);
  expect(await Account.scope(visibleTo(admin)).max('id')).toBe(own);
  const attempts = { by: 1, where: { id: [own, others] } };
  await Account.scope(visibleTo(admin)).increment('confirmation_key_attempts', attempts);
  expect(await system.rows('SELECT id FROM accounts WHERE confirmation_key_attempts = 1')).toEqual([{ id: own }]);
  const found = await Account.scope(visibleTo(admin)).findByPk(own);
  expect((await found?.update({ display_name: 'changed' }))?.display_name).toBe('changed');
});

test('a condition on the column that the scope is about does not replace it', async () => {
  const { SYSTEM, visibleTo } = visibility;
  const { Account, AccountAction } = models;
  const admin = { domain: OTHER, super_admin: false };
  const { domain } = (await Account.scope(visibleTo(SYSTEM)).findByPk(others))!;
  expect(await Account.scope(visibleTo(admin)).findAll({ where: { domain } })).toEqual([]);
  await AccountAction.create({ account_id: others, key: 'gate', code: '1' });
  const where = { account_id: others, key: 'gate' };
  expect(await AccountAction.scope(visibleTo(admin)).findAll({ where })).toEqual([]);
  expect(await AccountAction.scope(visibleTo(admin)).update({ code: '2' }, { where })).toEqual([0]);
  expect(await AccountAction.scope(visibleTo(admin)).destroy({ where })).toBe(0);
  expect(await AccountAction.scope(visibleTo(SYSTEM)).count({ where })).toBe(1);
});

test('a condition of the query narrows a scope and never replaces its own', async () => {
  const { visibleTo } = visibility;
  const { Account } = models;
  const accounts = Account.scope(visibleTo({ domain: OTHER, super_admin: false }));
  const { domain } = (await models.Account.scope(visibleTo(visibility.SYSTEM)).findByPk(others)) ?? {};
  expect(domain).not.toBe(OTHER);
  expect(await accounts.findAll({ where: { domain } })).toEqual([]);
  expect(await accounts.count({ where: { domain } })).toBe(0);
  expect(await accounts.update({ blocked: true }, { where: { domain } })).toEqual([0]);
  expect(await accounts.destroy({ where: { domain } })).toBe(0);
});

test('rows are dated by the clock of the database', async () => {
  const { AccountType } = models;
  const type = await AccountType.create({ key: 'phone' });
  const [row] = await system.rows<{ created_at: Date }>('SELECT created_at, updated_at FROM account_types');
  expect(type.created_at).toEqual(row?.created_at);
  await system.rows("UPDATE account_types SET created_at = '2001-01-01', updated_at = '2001-01-01'");
  await AccountType.update({ key: 'tablet' }, { where: { id: type.id } });
  const [changed] = await system.rows(
    "SELECT created_at < now() - interval '1 day' AS kept, updated_at > now() - interval '1 minute' AS now FROM account_types",
  );
  expect(changed).toEqual({ kept: true, now: true });
});
