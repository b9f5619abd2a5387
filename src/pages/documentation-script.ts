// The script of the documentation's page.

/**
 * JavaScript that starts Swagger UI: a file of its own, since the page's policy allows no inline script. No outside validator is asked. It reads the
 * document, and tries requests out, where the page itself was opened, which is not always the server that the document names: APP_URL. This script
 * lies in /assets beside /api.
 */
export const documentationScript = `const api = new URL('../api', document.currentScript.src).href;
const servers = [{ url: api }];
SwaggerUIBundle({
  url: api + '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
  plugins: [{ statePlugins: { spec: { wrapActions: { updateJsonSpec: (update) => (document) => update({ ...document, servers }) } } } }],
});
`;
