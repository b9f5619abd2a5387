// vCards that an account keeps here, by their UID.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, dated, dates, id, required, TEXT } from '../columns';
import { confine, ofAccountsIn } from '../visibility';

export class VcardStorage extends Model<InferAttributes<VcardStorage>, InferCreationAttributes<VcardStorage>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare uuid: string;
  declare vcard: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
VcardStorage.init(
  {
    id,
    account_id: accountId,
    uuid: required(TEXT),
    vcard: required(TEXT),
    ...dates,
  },
  { sequelize: database, tableName: 'vcards_storage', ...dated },
);
confine(VcardStorage, ofAccountsIn);
