// The page of the API's documentation: Swagger UI, from our own files (assets.ts), over /api/openapi.json.
import type { Request } from 'express';
import { settings } from '../../config';
import { escapeHtml } from '../infra/html';
import { assetUrl } from './assets';
import { rootOf } from './root';

/** HTML of the page. */
export function documentationPage(request: Request): string {
  const root = rootOf(request);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(settings.APP_NAME)} API</title>
<link rel="icon" href="${root}/favicon.ico">
<link rel="stylesheet" href="${root}${assetUrl('swagger-ui.css')}">
<div id="swagger-ui"></div>
<noscript>The machine-readable document is at <a href="${root}/api/openapi.json">/api/openapi.json</a>.</noscript>
<script src="${root}${assetUrl('swagger-ui-bundle.js')}"></script>
<script src="${root}${assetUrl('documentation.js')}"></script>
</html>
`;
}
