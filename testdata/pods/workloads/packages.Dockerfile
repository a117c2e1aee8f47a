# Packages with users, groups, setuid and setgid programs, and file capabilities of their own.
FROM BASE/debian
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        cron dbus iputils-ping libcap2-bin openssh-client sudo \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/*.log
# The owners are still there in the next step, and for those who read them.
RUN set -eux; \
    test "$(stat -c '%U:%G %a' /usr/lib/dbus-1.0/dbus-daemon-launch-helper)" = "root:messagebus 4754"; \
    test "$(stat -c '%U:%G %a' /usr/bin/crontab)" = "root:crontab 2755"; \
    test "$(stat -c '%U:%G %a' /var/spool/cron/crontabs)" = "root:crontab 1730"; \
    test "$(stat -c %a /usr/bin/sudo)" = 4755; \
    getcap /usr/bin/ping | grep cap_net_raw=ep

# People, and becoming them.
RUN useradd --create-home --uid 1234 alice \
    && adduser --disabled-password --gecos '' bob \
    && usermod --append --groups alice bob \
    && echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice \
    && chmod 0440 /etc/sudoers.d/alice
RUN set -eux; \
    test "$(su alice -c 'id -u')" = 1234; \
    su bob -c 'id -Gn > /home/bob/groups; touch /home/bob/own; umask 077; mkdir /home/bob/private'; \
    sudo -u alice sh -c 'touch ~alice/by-sudo'; \
    test "$(stat -c %U:%G /home/bob/own /home/alice/by-sudo | tr '\n' ' ')" = "bob:bob alice:alice "; \
    setpriv --reuid 1234 --regid 1234 --clear-groups touch /home/alice/by-setpriv; \
    if su bob -c 'touch /home/alice/x /etc/x'; then exit 1; fi
USER alice
WORKDIR /home/alice
RUN id > who; touch own; sudo id -un > whom; test "$(cat whom)" = root; sudo touch /home/alice/given && sudo chown bob given
USER bob
RUN cp /home/bob/groups /tmp/again; test "$(stat -c %U /tmp/again)" = bob
