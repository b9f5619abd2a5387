// The page of the API's documentation: Swagger UI, from our own files (assets.ts), over /api/openapi.json.
import { settings } from '../../config';
import { escapeHtml } from '../infra/html';
import { assetUrl } from './assets';

/** HTML of the page. */
export const documentationPage = (): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(settings.APP_NAME)} API</title>
<link rel="stylesheet" href="${assetUrl('swagger-ui.css')}">
<div id="swagger-ui"></div>
<noscript>The machine-readable document is at <a href="/api/openapi.json">/api/openapi.json</a>.</noscript>
<script src="${assetUrl('swagger-ui-bundle.js')}"></script>
<script src="${assetUrl('documentation.js')}"></script>
</html>
`;
