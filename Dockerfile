# amber in an image of its own, without a shell: docker build --tag amber .
#   docker run --rm --init --read-only --volume ./migrations:/app/migrations:ro --volume app-data:/app/data amber migrate
FROM node:22-bookworm-slim AS build
RUN npm install --global deno@2.9.4
WORKDIR /amber
COPY . .
RUN deno task compile
# The binary, the libraries that it names, and folders that its user may write.
RUN mkdir -p /image/usr/local/bin /image/app /image/etc \
 && cp dist/amber /image/usr/local/bin/amber \
 && ldd dist/amber | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && echo 'amber:x:10001:10001::/app:/' > /image/etc/passwd \
 && install --directory --owner=10001 --group=10001 --mode=0700 /image/app/data /image/app/backups

FROM scratch
COPY --from=build /image /
WORKDIR /app
ENV AMBER_PRODUCTION=1
USER 10001:10001
# Copy this binary into your server's image to start it: CMD ["amber", "run", "--", "my-server"], with docker run --init.
ENTRYPOINT ["/usr/local/bin/amber"]
CMD ["--help"]
