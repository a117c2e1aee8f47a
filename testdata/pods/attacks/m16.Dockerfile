# M16: a step takes rights that nobody has granted.
# refused: security.insecure
FROM BASE/busybox
RUN echo x > /never
RUN --security=insecure true
