// Lists of contacts, each of one Space; who is on them and who was given them.
import {
  type Attributes,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type NonAttribute,
  Op,
} from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { accountId, dated, dates, id, INTEGER, optional, required, TEXT, varchar } from '../columns';
import { confine, confinedTo, type Viewer } from '../visibility';

/** What an answer shows of a list. */
export type ContactsListView = Pick<Attributes<ContactsList>, 'id' | 'title' | 'description' | 'created_at' | 'updated_at'> & {
  contacts_count: number;
};

/** `contacts_lists.id` by any alias of the table: the inner one has no column of that name. */
const CONTACTS_COUNT = '(SELECT count(*)::integer FROM contacts_list_contact c WHERE c.contacts_list_id = id)';
const spaceOf = (domain: string): string => `SELECT id FROM spaces WHERE domain = ${database.escape(domain)}`;

export class ContactsList extends Model<InferAttributes<ContactsList>, InferCreationAttributes<ContactsList>> {
  declare id: CreationOptional<number>;
  declare title: string;
  declare description: CreationOptional<string | null>;
  declare space_id: CreationOptional<number | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** How many accounts are on it; of a list read through the scope `counted`. A new list has none. */
  get contacts_count(): NonAttribute<number> {
    return this.get('contacts_count') ?? 0;
  }

  /** Makes a list in the Space of a domain, whose id the same statement finds. @throws a violated foreign key where there is no such Space */
  static createIn(domain: string, values: Pick<Attributes<ContactsList>, 'title' | 'description'>): Promise<ContactsList> {
    // No Space has the id 0.
    const space_id = literal(`coalesce((${spaceOf(domain)}), 0)`) as unknown as number;
    return this.create({ ...values, space_id });
  }

  /**
   * Changes title and description. A statement of our own, since it gives the count with the changed list, which Sequelize would ask for
   * in another one. @returns null where the viewer sees no such list
   */
  static async change(
    viewer: Viewer,
    listId: number,
    { title, description }: Pick<Attributes<ContactsList>, 'title' | 'description'>,
  ): Promise<ContactsListView | null> {
    const [changed] = await select<ContactsListView>(
      `UPDATE contacts_lists SET title = $3, description = $4, updated_at = now()
        WHERE ($1::text IS NULL OR space_id = (SELECT id FROM spaces WHERE domain = $1)) AND id = $2
        RETURNING id, title, description, created_at, updated_at, ${CONTACTS_COUNT} AS contacts_count`,
      [confinedTo(viewer), listId, title, description],
    );
    return changed ?? null;
  }
}
ContactsList.init(
  {
    id,
    title: required(varchar(255)),
    description: optional(TEXT),
    space_id: optional(INTEGER),
    ...dates,
  },
  {
    sequelize: database,
    tableName: 'contacts_lists',
    ...dated,
    scopes: {
      /** With `contacts_count`, counted in the statement that reads the list. */
      counted: {
        attributes: {
          include: [[literal(CONTACTS_COUNT), 'contacts_count']],
        },
      },
    },
  },
);
confine(ContactsList, (domain) => ({ space_id: { [Op.in]: literal(`(${spaceOf(domain)})`) } }));

export class AccountContactsList extends Model<InferAttributes<AccountContactsList>, InferCreationAttributes<AccountContactsList>> {
  declare account_id: number;
  declare contacts_list_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountContactsList.init(
  {
    account_id: accountId,
    contacts_list_id: required(INTEGER),
    ...dates,
  },
  { sequelize: database, tableName: 'account_contacts_list', ...dated },
);
AccountContactsList.removeAttribute('id');

export class ContactsListContact extends Model<InferAttributes<ContactsListContact>, InferCreationAttributes<ContactsListContact>> {
  declare contact_id: number;
  declare contacts_list_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ContactsListContact.init(
  {
    contact_id: required(INTEGER),
    contacts_list_id: required(INTEGER),
    ...dates,
  },
  { sequelize: database, tableName: 'contacts_list_contact', ...dated },
);
ContactsListContact.removeAttribute('id');
