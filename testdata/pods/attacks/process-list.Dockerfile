# A step sees what runs outside.
# weakness: process-list
FROM BASE/busybox
RUN test $$ = 1
