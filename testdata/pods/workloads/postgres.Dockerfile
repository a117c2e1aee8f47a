# A database: refuses to run as root, and wants to own its files.
FROM BASE/debian
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/*.log
USER postgres
RUN set -eux; bin=$(echo /usr/lib/postgresql/*/bin); \
    $bin/initdb --auth=trust --pgdata=/tmp/data; \
    $bin/pg_ctl --wait --pgdata=/tmp/data --options='-k /tmp -h ""' --log=/tmp/log start; \
    $bin/psql --host=/tmp --command='CREATE TABLE t AS SELECT generate_series(1, 1000) AS n' postgres; \
    $bin/psql --host=/tmp --tuples-only --command='SELECT sum(n) FROM t' postgres | grep 500500; \
    $bin/pg_ctl --pgdata=/tmp/data --mode=immediate stop; \
    stat --format=%U:%a /tmp/data | grep postgres:700
