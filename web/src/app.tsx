import { ListPage } from "./list-page";
import { Header } from "./parts/header";
import { useRoute } from "./router";
import { WatchPage } from "./watch-page";

export function App() {
  const route = useRoute();
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {route.page === "list" && <ListPage />}
        {route.page === "watch" && (
          <WatchPage
            key={`${route.collection}/${route.name}`}
            collection={route.collection}
            name={route.name}
          />
        )}
        {route.page === "unknown" && (
          <section class="notice">
            <h1>There is no such page</h1>
            <p>
              Streams are watched at <code>/watch/collection/stream</code>.
            </p>
            <p>
              <a class="button" href="/">
                All streams
              </a>
            </p>
          </section>
        )}
      </main>
    </>
  );
}
