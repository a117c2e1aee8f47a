# A step reads what croze keeps beside the image: credentials, the store, volumes.
# weakness: croze-files
FROM BASE/busybox
RUN test ! -e SENTRY/victim; test ! -e /.croze
