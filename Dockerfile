# Ballast's image, by what `npm run image` does without docker, on Debian 12.
#   docker build -t ballast:dev .
# Untested: no test builds it. Only what the image says about itself is compared with that of `npm run image`.

FROM node:24.21.0-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils iproute2
WORKDIR /source
COPY . .
RUN npm run image -- --rootfs /image

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production
LABEL org.opencontainers.image.title=ballast org.opencontainers.image.version=0.1.0 org.opencontainers.image.licenses=Apache-2.0
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/ballast"]
