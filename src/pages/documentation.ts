// The page of the API's documentation: Swagger UI, from our own files, over /api/openapi.json.
import { settings } from '../../config';
import { escapeHtml } from '../infra/html';

/** HTML of the page; its stylesheet and its scripts are under /assets. */
export const documentationPage = (): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(settings.APP_NAME)} API</title>
<link rel="stylesheet" href="/assets/swagger-ui/swagger-ui.css">
<div id="swagger-ui"></div>
<noscript>The machine-readable document is at <a href="/api/openapi.json">/api/openapi.json</a>.</noscript>
<script src="/assets/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/assets/documentation.js"></script>
</html>
`;

/** JavaScript that starts Swagger UI: a file of its own, since the page's policy allows no inline script. No outside validator is asked. */
export const documentationScript = `SwaggerUIBundle({ url: '/api/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
`;
