// Ceiling: as express-pg, the caller's contacts, all of them in one statement.
import { createServer } from 'node:http';
import express from 'express';
import { serve } from './serve';
import { findCaller, pool, RELATED } from './statements';

const CONTACTS = `
  SELECT a.id, a.username, a.domain, a.activated, a.dtmf_protocol, a.display_name, NULL AS realm, ${RELATED}
    FROM accounts a
   WHERE a.id IN (SELECT contact_id FROM contacts WHERE account_id = $1
                  UNION SELECT c.contact_id FROM account_contacts_list l JOIN contacts_list_contact c USING (contacts_list_id)
                         WHERE l.account_id = $1)
   ORDER BY a.id`;

const app = express();
app.get('/api/accounts/me/contacts', async (request, response) => {
  const caller = await findCaller(request.get('x-api-key'));
  if (!caller) return void response.sendStatus(401);
  response.json((await pool.query({ name: 'contacts', text: CONTACTS, values: [caller.account_id] })).rows);
});
serve(createServer(app));
