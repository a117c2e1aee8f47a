# A package manager that unpacks archives and runs the scripts in them.
FROM BASE/debian
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends npm \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/*.log
WORKDIR /srv/said
COPY <<"PACKAGE" package.json
{
  "name": "said",
  "version": "1.0.0",
  "bin": { "said": "said.js" },
  "scripts": { "postinstall": "id -u > installer" }
}
PACKAGE
COPY --chmod=755 <<"PROGRAM" said.js
#!/usr/bin/env node
console.log("said");
PROGRAM
ENV npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
RUN npm pack && useradd --create-home --uid 1234 alice && install -d -o alice /srv/hers && rm -rf ~/.npm
# Root installs for all, a user in a directory of hers.
RUN set -eux; npm install --global said-1.0.0.tgz; test "$(said)" = said; \
    test "$(cat "$(npm root --global)/said/installer")" = 0; rm -rf ~/.npm
USER alice
WORKDIR /srv/hers
RUN set -eux; npm install /srv/said/said-1.0.0.tgz; test "$(npx said)" = said; \
    test "$(cat node_modules/said/installer)" = 1234; \
    test "$(stat -c %U node_modules/said/installer)" = alice; rm -rf ~/.npm
