// The script of the documentation's page.

/** JavaScript that starts Swagger UI: a file of its own, since the page's policy allows no inline script. No outside validator is asked. */
export const documentationScript = `SwaggerUIBundle({ url: '/api/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
`;
