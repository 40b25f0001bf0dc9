// An OpenID Connect provider (oidc-provider, certified) with the client of a test and
// some people, who sign in with their name and any password. It prints one line of JSON
// with its address once it answers.
"use strict";

const env = process.env;
const people = {
  pat: { email: "pat@example.com", email_verified: true },
  sam: { email: "sam@example.com", email_verified: "true" }, // as some providers write it
  mallory: { email: "pat@example.com", email_verified: false },
  eve: { email: "pat@example.com", email_verified: "false" },
  vague: { email: "pat@example.com" },
  stranger: { email: "stranger@example.com", email_verified: true },
};

async function main() {
  const { Provider } = await import("oidc-provider");
  const port = Number(env.LETHE_PORT || 0);
  const server = require("http").createServer();
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "lethe", client_secret: env.LETHE_SECRET || undefined, redirect_uris: [env.LETHE_CALLBACK],
      token_endpoint_auth_method: env.LETHE_AUTH,
    }],
    clientAuthMethods: [env.LETHE_AUTH],
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    conformIdTokenClaims: env.LETHE_CLAIMS !== "token", // else a token has all claims
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    pkce: { required: () => true },
    cookies: { keys: ["a key for tests"] },
  });
  server.on("request", provider.callback());
  console.log(JSON.stringify({ issuer }));
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
