# A step reads what croze keeps beside the image: credentials, the store, volumes.
# weakness: croze-files
FROM BASE/busybox
RUN test ! -e SENTRY/victim; test ! -e /.croze
RUN mkdir -p /tmp; cd /tmp; for path in SENTRY/victim /proc/self/root/SENTRY/victim ../tmp/../SENTRY/victim; do \
        if cat $path || ln $path /tmp/victim || mv $path /tmp/victim || chmod 0600 $path || (: >> $path); then exit 1; fi; done
